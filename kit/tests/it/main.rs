//! What only shows when the pieces stand together.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod roads;
