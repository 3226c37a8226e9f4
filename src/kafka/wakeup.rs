//! Waits until a producer has something to say, without asking it all the time: rdkafka's own `poll` takes the last
//! millisecond of any wait by asking again and again, and never returns early.
//!
//! In: a producer. Out: a wait that ends when its queue gets its first event. Never happens: an event taken from the queue.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::producer::{BaseProducer, Producer as _};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::context::Context;
use super::settings::SettingsError;

/// What librdkafka writes; an eventfd takes eight bytes, in the machine's order.
const ONE: [u8; 8] = 1_u64.to_ne_bytes();

/// See the module. To be dropped before its producer.
pub(super) struct Wakeup {
    /// A reference of its own to the producer's main queue.
    queue: *mut native::rd_kafka_queue_t,
    fd: OwnedFd,
}

// SAFETY: librdkafka's queues may be used by any thread.
unsafe impl Send for Wakeup {}

impl Wakeup {
    pub fn of(producer: &BaseProducer<Context>) -> Result<Wakeup, SettingsError> {
        let none = |cause: std::io::Error| SettingsError {
            path: "kafka".to_owned(),
            problem: format!("the system gives no descriptor for a producer's wake-up: {cause}"),
        };
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| none(error.into()))?;
        // SAFETY: the client is alive, and the bytes are copied; the descriptor stays open until `drop` has taken it back.
        let queue = unsafe {
            let queue = native::rd_kafka_queue_get_main(producer.client().native_ptr());
            native::rd_kafka_queue_io_event_enable(queue, fd.as_raw_fd(), ONE.as_ptr().cast(), ONE.len());
            queue
        };
        Ok(Wakeup { queue, fd })
    }

    /// Returns when an event has come since the queue was last asked, a signal comes, or after `timeout`; at once where
    /// events lie in the queue.
    pub fn wait(&self, timeout: Duration) {
        // SAFETY: the queue is alive.
        if unsafe { native::rd_kafka_queue_length(self.queue) } > 0 {
            return;
        }
        // A timeout that the system cannot take, or another error, is a short wait: whoever asks comes again.
        let timeout = Timespec::try_from(timeout).ok();
        let _ = poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], timeout.as_ref());
        let _ = rustix::io::read(&self.fd, &mut [0; ONE.len()]);
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        // SAFETY: both take a queue that is alive; the second ends this reference to it.
        unsafe {
            native::rd_kafka_queue_io_event_enable(self.queue, -1, std::ptr::null(), 0);
            native::rd_kafka_queue_destroy(self.queue);
        }
    }
}
