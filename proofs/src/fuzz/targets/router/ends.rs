//! Both ends: a client on a wire in memory, and a Kafka that takes everything and confirms it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use retell_bridge::publisher::{Delivery, DeliveryError, Producer, Receipt, SendError, TopicState};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Sent;

/// A Kafka that takes everything and confirms it.
pub(super) struct Kafka {
    pub(super) sent: Arc<Mutex<Vec<Sent>>>,
    pub(super) tokens: Vec<u64>,
}

impl Producer for Kafka {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        self.tokens.push(delivery.token);
        self.sent.lock().expect("one thread").push(Sent {
            topic: delivery.topic.to_owned(),
            key: delivery.key.map(<[u8]>::to_vec),
            value: delivery.value.to_vec(),
            headers: delivery.headers.iter().map(|(name, value)| (*name, value.to_vec())).collect(),
            timestamp_ms: delivery.timestamp_ms,
        });
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        receipts.extend(self.tokens.drain(..).map(|token| Receipt { token, outcome: Ok(()) }));
    }

    fn probe(&mut self, _topic: &str) {}

    fn topic_state(&self, _topic: &str) -> TopicState {
        TopicState::Known
    }

    fn replace(&mut self, _alone: bool, _receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
        Ok(())
    }

    fn has_ended(&self) -> bool {
        false
    }

    fn is_up(&self) -> bool {
        true
    }

    fn error_reasons(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A client that sends everything, waits a little, and leaves.
pub(super) struct Wire {
    pub(super) unread: Vec<u8>,
    pub(super) patience: u32,
    pub(super) answers: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.unread.len().min(buffer.remaining());
        if length == 0 && self.patience > 0 {
            self.patience -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece: Vec<u8> = self.unread.drain(..length).collect();
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answers.lock().expect("one thread").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
