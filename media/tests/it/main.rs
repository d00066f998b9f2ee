//! The service behind the real server stack, on both databases and both blob stores.
