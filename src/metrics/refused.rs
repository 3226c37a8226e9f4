//! Why a request was refused: the closed list behind one label. Never happens: a reason that a sender can invent.

/// Why a request was refused; the label `reason` of `events_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedReason {
    Missing,
    Malformed,
    Stale,
    Wrong,
    Address,
    TooLarge,
    TooSlow,
    Late,
    NoRoom,
    Stopping,
    Journal,
    /// No source has the path; not an event.
    Path,
    /// Not a POST; not an event.
    Method,
    /// Not HTTP as the intake takes it.
    Http,
}

impl RefusedReason {
    /// All of them, for the zeros at the start.
    pub const ALL: [RefusedReason; 14] = [
        RefusedReason::Missing,
        RefusedReason::Malformed,
        RefusedReason::Stale,
        RefusedReason::Wrong,
        RefusedReason::Address,
        RefusedReason::TooLarge,
        RefusedReason::TooSlow,
        RefusedReason::Late,
        RefusedReason::NoRoom,
        RefusedReason::Stopping,
        RefusedReason::Journal,
        RefusedReason::Path,
        RefusedReason::Method,
        RefusedReason::Http,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            RefusedReason::Missing => "missing",
            RefusedReason::Malformed => "malformed",
            RefusedReason::Stale => "stale",
            RefusedReason::Wrong => "wrong",
            RefusedReason::Address => "address",
            RefusedReason::TooLarge => "too_large",
            RefusedReason::TooSlow => "too_slow",
            RefusedReason::Late => "late",
            RefusedReason::NoRoom => "no_room",
            RefusedReason::Stopping => "stopping",
            RefusedReason::Journal => "journal",
            RefusedReason::Path => "path",
            RefusedReason::Method => "method",
            RefusedReason::Http => "http",
        }
    }
}
