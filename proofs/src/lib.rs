//! # The proofs of one promise
//!
//! **An event that was answered with 2xx reaches Kafka, byte for byte, as long as its disk survives.** Each module here
//! tries to make that false in one way, counts how often it tried, and gives up with the command that repeats the case
//! where it succeeds. `docs/proofs.md` holds what was really run.
//!
//! | module | what it does to the bridge |
//! | --- | --- |
//! | [`verdicts`] | nothing: the judge itself, shown to see each kind of lie |
//! | [`simulation`] | the journal on a simulated disk: power cuts at every change, torn and lost sectors, failing syncs, rot |
//! | [`pipeline`] | intake, journal, duplicates, publisher and checkpoint together over a scripted Kafka, in virtual time |
//! | [`syscalls`] | the real process killed, or its call failed, at every N-th system call |
//! | [`power`] | ext4 and XFS shut down under the journal |
//! | [`kills`] | `kill -9` of the bridge and of Apache Kafka's nodes, brokers paused, connections half-open |
//! | [`disks`] | a disk that is full, slow or failing |
//! | [`abuse`] | slow and hostile senders beside honest ones |
//! | [`fuzz`] | bytes that nobody wrote, in every parser |
//! | [`keys`] | a key file caught while it is being written |
//! | [`planted`] | bugs put in on purpose, each to be caught by the proof that is meant to |
//! | [`concurrency`] | the hand-overs between threads, under every schedule that a checker chooses |
//!
//! A proof goes in with an [`Order`], comes out with a [`Figure`] or the story of what was lost. It never skips: what
//! needs root, a tool or a limit fails with the sentence that says so.

pub mod figure;
pub mod random;

pub mod verdicts;

pub mod simulation;

pub mod pipeline;

pub mod syscalls;

pub mod power;

pub mod kills;

pub mod disks;

pub mod abuse;

pub mod fuzz;

pub mod keys;

pub mod planted;

pub mod concurrency;

pub mod command;
pub mod published;
pub mod rebuilt;
pub mod small_bridge;

pub use figure::{Effort, Figure, Order, Proof, Seeds};

/// All of them, in the order of `docs/proofs.md`.
pub const PROOFS: [Proof; 13] = [
    Proof {
        name: "judge",
        claim: "the judge sees each kind of loss, change, invention, disorder and leak",
        is_in_test_command: true,
        seeds: Seeds::None,
        run: verdicts::prove,
    },
    Proof {
        name: "simulation",
        claim: "a crash at any I/O, torn sectors, failed syncs, full disks and rot lose no acknowledged record in silence",
        is_in_test_command: true,
        seeds: Seeds::Case,
        run: simulation::prove,
    },
    Proof {
        name: "pipeline",
        claim: "whatever Kafka answers and wherever the bridge restarts, every 2xx is published in order, and the backlog drains",
        is_in_test_command: true,
        seeds: Seeds::Case,
        run: pipeline::prove,
    },
    Proof {
        name: "syscalls",
        claim: "the real process, killed or failed at the N-th system call, drawn from every N, loses nothing",
        is_in_test_command: false,
        seeds: Seeds::Case,
        run: syscalls::prove,
    },
    Proof {
        name: "power",
        claim: "ext4 and XFS, cut off in the middle and mounted again, still hold every acknowledged record",
        is_in_test_command: false,
        seeds: Seeds::Case,
        run: power::prove,
    },
    Proof {
        name: "kills",
        claim: "kill -9 of the bridge, of Apache Kafka or of both, and paused, partitioned or missing nodes lose nothing",
        is_in_test_command: true,
        seeds: Seeds::Case,
        run: kills::prove,
    },
    Proof {
        name: "disks",
        claim: "a full, slow or failing disk refuses events in time and loses none that was acknowledged",
        is_in_test_command: false,
        seeds: Seeds::Case,
        run: disks::prove,
    },
    Proof {
        name: "abuse",
        claim: "hostile senders take neither memory nor an honest event's 2xx",
        is_in_test_command: false,
        seeds: Seeds::Case,
        run: abuse::prove,
    },
    Proof {
        name: "fuzz",
        claim: "no bytes on disk or from outside make a parser panic, hang or take what was not written",
        is_in_test_command: false,
        seeds: Seeds::First,
        run: fuzz::prove,
    },
    Proof {
        name: "keys",
        claim: "a key file that is empty, missing, unreadable or half-written takes no good key out of force",
        is_in_test_command: true,
        seeds: Seeds::None,
        run: keys::prove,
    },
    Proof {
        name: "planted",
        claim: "each bug put in on purpose is caught by the proof that is meant to catch it",
        is_in_test_command: true,
        seeds: Seeds::None,
        run: planted::prove,
    },
    Proof {
        name: "planted-outside",
        claim: "each bug put into the real process is caught by the proof that looks at it from outside",
        is_in_test_command: false,
        seeds: Seeds::None,
        run: planted::prove_outside,
    },
    Proof {
        name: "concurrency",
        claim: "no schedule of request tasks, writer and waiters answers early, forgets a waiter or hangs",
        is_in_test_command: true,
        seeds: Seeds::Case,
        run: concurrency::prove,
    },
];
