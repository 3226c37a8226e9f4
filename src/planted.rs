//! Bugs that can be put in on purpose, so that each proof is seen to catch what it is meant to catch.
//!
//! In: the variable `PLANTED_BUG`, in builds with the feature `planted-bugs`. Out: whether the code asks for that bug to be
//! there. Never happens: a bug in any other build, where [`Bug::is_planted`] is the constant `false` and what it guards is
//! gone; a release build with the feature, which the compiler refuses.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("planted-bugs is for proofs, which are built with debug assertions; no release may have it");

/// A bug, by what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    AckBeforeSync,
    PublishBeforeSync,
    NoDirectorySync,
    CheckpointBeforeReceipt,
    CheckpointWithAGap,
    BothSlotsBetweenSyncs,
    SyncRetried,
    CutInTheMiddle,
    LengthOutsideTheChecksum,
    AppendToAnOldFile,
    PositionReusedAfterACut,
    DuplicateBeforeItIsDurable,
    EntryLeftByARefusedCopy,
    SegmentFreedUnderALane,
    WholeBatchSetAside,
    KeyFileHalfWritten,
    RecoveryIgnoresAFailedSync,
    InFlightWithoutLimit,
    KeyNotHeld,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 19] = [
        Bug::AckBeforeSync,
        Bug::PublishBeforeSync,
        Bug::NoDirectorySync,
        Bug::CheckpointBeforeReceipt,
        Bug::CheckpointWithAGap,
        Bug::BothSlotsBetweenSyncs,
        Bug::SyncRetried,
        Bug::CutInTheMiddle,
        Bug::LengthOutsideTheChecksum,
        Bug::AppendToAnOldFile,
        Bug::PositionReusedAfterACut,
        Bug::DuplicateBeforeItIsDurable,
        Bug::EntryLeftByARefusedCopy,
        Bug::SegmentFreedUnderALane,
        Bug::WholeBatchSetAside,
        Bug::KeyFileHalfWritten,
        Bug::RecoveryIgnoresAFailedSync,
        Bug::InFlightWithoutLimit,
        Bug::KeyNotHeld,
    ];

    /// As `PLANTED_BUG` names it.
    pub fn name(self) -> &'static str {
        match self {
            Bug::AckBeforeSync => "ack-before-sync",
            Bug::PublishBeforeSync => "publish-before-sync",
            Bug::NoDirectorySync => "no-directory-sync",
            Bug::CheckpointBeforeReceipt => "checkpoint-before-receipt",
            Bug::CheckpointWithAGap => "checkpoint-with-a-gap",
            Bug::BothSlotsBetweenSyncs => "both-slots-between-syncs",
            Bug::SyncRetried => "sync-retried",
            Bug::CutInTheMiddle => "cut-in-the-middle",
            Bug::LengthOutsideTheChecksum => "length-outside-the-checksum",
            Bug::AppendToAnOldFile => "append-to-an-old-file",
            Bug::PositionReusedAfterACut => "position-reused-after-a-cut",
            Bug::DuplicateBeforeItIsDurable => "duplicate-before-it-is-durable",
            Bug::EntryLeftByARefusedCopy => "entry-left-by-a-refused-copy",
            Bug::SegmentFreedUnderALane => "segment-freed-under-a-lane",
            Bug::WholeBatchSetAside => "whole-batch-set-aside",
            Bug::KeyFileHalfWritten => "key-file-half-written",
            Bug::RecoveryIgnoresAFailedSync => "recovery-ignores-a-failed-sync",
            Bug::InFlightWithoutLimit => "in-flight-without-limit",
            Bug::KeyNotHeld => "key-not-held",
        }
    }

    /// Whether the code is to have this bug.
    #[cfg(not(feature = "planted-bugs"))]
    #[inline(always)]
    pub const fn is_planted(self) -> bool {
        false
    }

    /// Whether the code is to have this bug.
    #[cfg(feature = "planted-bugs")]
    pub fn is_planted(self) -> bool {
        chosen() == Some(self)
    }
}

/// The bug of this process. A name that means none ends it: a proof of a bug that is not there would prove nothing.
#[cfg(feature = "planted-bugs")]
fn chosen() -> Option<Bug> {
    static CHOSEN: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("PLANTED_BUG").ok()?;
        let found = Bug::ALL.into_iter().find(|bug| bug.name() == name);
        Some(found.unwrap_or_else(|| panic!("PLANTED_BUG names no bug")))
    })
}
