//! Downloads into the content-addressed cache: nothing is used before its hash matched.
