//! How a scene goes on: time passes, the writer writes, requests are posted and answered.
//!
//! In: the scene. Out: whatever the parts did meanwhile, each step judged. Never happens: an answer that the judge does not
//! hear of at once.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{ANSWER_WITHIN, End, Scene, Waiting, Wrong};

impl Scene {
    /// Lets time pass, with all parts at work.
    pub(in crate::pipeline) fn pass(&mut self, time: Duration) -> Result<(), Wrong> {
        let clock = self.world.clock.clone();
        let until = clock.mono() + time;
        // A long time goes by in strides; a machine may be that slow.
        let stride = time / 150;
        let mut kept_house = Duration::ZERO;
        while clock.mono() < until && self.bridge.is_some() {
            self.write()?;
            let Some(bridge) = &mut self.bridge else { break };
            let wait = bridge.publish().max(Duration::from_millis(1)).max(stride);
            if clock.mono() >= kept_house + Duration::from_millis(100) {
                bridge.keep_house();
                kept_house = clock.mono();
            }
            self.after()?;
            clock.pass(wait.min(until.saturating_sub(clock.mono())).max(Duration::from_millis(1)));
        }
        Ok(())
    }

    /// The writer writes all that is queued.
    pub(in crate::pipeline) fn write(&mut self) -> Result<(), Wrong> {
        while self.bridge.as_mut().is_some_and(|bridge| bridge.write() > 0) {
            self.after()?;
        }
        Ok(())
    }

    /// What the world does after every step: requests are answered, a process that cannot go on ends.
    pub(in crate::pipeline) fn after(&mut self) -> Result<(), Wrong> {
        self.check()?;
        if self.world.disk.is_down() {
            self.note(|_| "the power is cut".to_owned());
            self.end(End::PowerCut);
            return Ok(());
        }
        let answered = self.answer();
        self.check()?;
        if answered && self.cuts_after_an_answer {
            self.note(|_| "the power is cut right after an answer".to_owned());
            self.end(End::PowerCut);
        }
        Ok(())
    }

    /// Sends a letter to the running bridge.
    pub(in crate::pipeline) fn post(&mut self, letter: usize, is_fresh: bool) {
        let Some(bridge) = &self.bridge else { return };
        let (event, signed) = self.senders.send(letter, self.world.clock.wall_ms(), is_fresh);
        let tag = event.identity(&event.peek()).0;
        self.world.judge.ask().signs(tag, signed);
        let until = self.world.clock.mono() + ANSWER_WITHIN;
        let taken = bridge.take(event);
        self.note(|_| format!("letter {letter} is posted: {:?}", taken.as_ref().err()));
        if let Ok(taken) = taken {
            self.waiting.push(Waiting { letter, taken, until });
        }
    }

    /// Looks at all requests that wait. Whether one was answered 2xx.
    fn answer(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let now = self.world.clock.mono();
        let mut is_answered = false;
        for mut request in std::mem::take(&mut self.waiting) {
            let letter = request.letter;
            match Pin::new(&mut request.taken).poll(&mut context) {
                Poll::Ready(Ok(())) => {
                    let is_repeat = request.taken.first_received_at_ms.is_some();
                    self.note(|_| format!("letter {letter} is answered 2xx, repeat {is_repeat}"));
                    self.world.judge.ask().promised(request.taken.id.0, is_repeat);
                    self.senders.letters[letter].is_answered = true;
                    is_answered = true;
                }
                Poll::Ready(Err(error)) => self.note(|_| format!("letter {letter} is answered 503: {error:?}")),
                Poll::Pending if now >= request.until => {
                    self.note(|_| format!("letter {letter} is answered 503: late"));
                    self.outcome.late += 1;
                }
                Poll::Pending => self.waiting.push(request),
            }
        }
        is_answered
    }
}
