//! The times that decisions use, all in milliseconds.

/// How long things may take and how often they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long before its due time a delivery is prepared.
    pub prep_lead: i64,
    /// After this a preparation that told nothing is looked after: its account is woken, and prepares again what it is
    /// not preparing already.
    pub prep_timeout: i64,
    /// From ARM to the moment after which no byte of the attempt leaves any more.
    pub send_timeout: i64,
    /// How long after the send deadline a request may still be executed by a network (proxies, slow handlers).
    pub quiesce: i64,
    /// How long after the first ARM an idempotency key is trusted (class C).
    pub key_window: i64,
    /// How long an unknown outcome is looked for before the user is asked.
    pub reconcile_budget: i64,
    /// Reads that must miss the post, after quiescence, before absence counts as proof for classes C and D.
    pub absent_reads: i32,
    /// The time those reads must span.
    pub absent_span: i64,
    /// How often a network that is processing is asked.
    pub poll_every: i64,
    /// How often a delivery that needs confirmation is still looked for.
    pub late_look_every: i64,
    /// How long it is.
    pub late_look_for: i64,
    /// First delay before another try.
    pub backoff_first: i64,
    /// Longest delay of our own.
    pub backoff_most: i64,
    /// Longest delay a network can ask for.
    pub hint_most: i64,
}

impl Default for Policy {
    fn default() -> Self {
        const SECOND: i64 = 1_000;
        const MINUTE: i64 = 60 * SECOND;
        const HOUR: i64 = 60 * MINUTE;
        Self {
            prep_lead: MINUTE,
            prep_timeout: 15 * SECOND,
            send_timeout: MINUTE,
            quiesce: MINUTE,
            key_window: 50 * MINUTE,
            reconcile_budget: 24 * HOUR,
            absent_reads: 3,
            absent_span: 10 * MINUTE,
            poll_every: 5 * SECOND,
            late_look_every: HOUR,
            late_look_for: 7 * 24 * HOUR,
            backoff_first: 2 * SECOND,
            backoff_most: 5 * MINUTE,
            hint_most: 6 * HOUR,
        }
    }
}
