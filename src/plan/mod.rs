//! Decisions from facts and tables: variant, attention path, numerics, refusals with reasons. No I/O.
