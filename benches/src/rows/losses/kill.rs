//! A `kill -9` in the middle of a closed loop.

use std::thread;
use std::time::Duration;

use super::{SETTLE, SIZE};
use crate::arrived;
use crate::load::{self, Order, Pace, Until};
use crate::receiver::{Kind, Receiver};
use crate::round::wait_published_again;
use crate::stage::Stage;

/// Answered 2xx, and of these lost.
pub fn run(stage: &Stage, kind: Kind, after: Duration) -> Result<(u64, u64), String> {
    let series = stage.series();
    let mut receiver = Receiver::start(kind, &stage.kafka.brokers(), &series)?;
    let to = receiver.address();
    let outcome = thread::scope(|scope| {
        let load = scope.spawn(|| {
            load::run(&Order {
                to,
                paths: &series.paths,
                library: &stage.library,
                size: SIZE,
                first: series.first,
                pace: Pace::Closed { connections: 64 },
                until: Until::time(after + Duration::from_millis(300)),
            })
        });
        thread::sleep(after);
        receiver.kill();
        load.join().map_err(|_| "the load generator panicked".to_owned())
    })?;
    match kind {
        Kind::Bridge => wait_published_again(stage, &receiver, &series, outcome.kept())?,
        _ => thread::sleep(SETTLE),
    }
    let arrived = arrived::judge(stage, &series, &[(SIZE, &outcome)]);
    if arrived.altered + arrived.unknown > 0 {
        return Err(format!("{}: {arrived:?}", kind.name()));
    }
    drop(receiver);
    stage.end(&series);
    Ok((outcome.kept(), arrived.lost))
}
