//! Ids: UUID version 7, so that they sort by the time they were made.

use uuid::Uuid;

use crate::status::FieldViolation;

/// A new id.
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// Reads an id that came in a request's field.
pub fn parse(field: &str, text: &str) -> Result<Uuid, FieldViolation> {
    if text.is_empty() {
        return Err(FieldViolation::new(field, "REQUIRED", "is required"));
    }
    Uuid::try_parse(text).map_err(|_| FieldViolation::new(field, "NOT_A_UUID", "must be a UUID"))
}

/// Reads an id that may be left empty.
pub fn parse_optional(field: &str, text: &str) -> Result<Option<Uuid>, FieldViolation> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}
