//! A journal with small segments, opened by the test itself, so that the binary finds one that it did not write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use retell_bridge::health::Health;
use retell_bridge::journal::storage::Disk;
use retell_bridge::journal::{Journal, Options};
use retell_bridge::metrics::Metrics;

/// Close it before the binary looks at it.
pub fn open(dir: &Path) -> Journal {
    let options = Options {
        segment_bytes: 1 << 20,
        size_max_bytes: 64 << 20,
        retention: Duration::from_secs(3_600),
        quarantine_retention: Duration::from_secs(3_600),
        checkpoint_every: Duration::from_millis(10),
        allow_ephemeral: true,
    };
    let disk = Arc::new(Disk::new(dir).expect("it can be used"));
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    Journal::open(disk, options, metrics, health).expect("it opens").0
}
