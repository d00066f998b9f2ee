//! Integration tests of this crate.
