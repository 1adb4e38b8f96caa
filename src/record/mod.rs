//! Run folders: writing, reading and verifying them.
