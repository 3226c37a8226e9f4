//! The two kinds of cut: while the journal works or closes, and while it recovers.
//!
//! In: the scene. Out: the volume mounted again, and in the book what may have been kept. Never happens: power back before
//! everything that was under way has ended.

use std::time::{Duration, Instant};

use retell_bridge::journal::OpenError;

use super::{Flush, Load, Running, Scene, Switch, Wrong, append, start};

/// The moment of a cut while the journal runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Any,
    /// Within microseconds of a 2xx, with more under way: nothing but a sync of before can have kept the record.
    AtAnAnswer,
    /// Within microseconds of the last 2xx of all: no sync of a later batch keeps the record either.
    AtTheLastAnswer,
    InACleanStop,
}

impl Scene {
    pub(super) fn cut_at_work(&mut self, running: Running) -> Result<(), Wrong> {
        let switch = self.switch()?;
        let flush = self.random.pick(&[Flush::Log, Flush::Nothing, Flush::Nothing]);
        let moment = match self.random.below(100) {
            0..15 => Moment::InACleanStop,
            15..45 => Moment::AtAnAnswer,
            45..75 => Moment::AtTheLastAnswer,
            _ => Moment::Any,
        };
        self.note(format!("cut {flush:?} {moment:?}"));
        let mut load = Some(self.load(&running));
        self.wait();
        match moment {
            Moment::AtAnAnswer => self.wait_for_an_answer(),
            Moment::AtTheLastAnswer => {
                load.take().map_or(Ok(()), Load::end)?;
                // No room is an answer, too.
                let _ = append(&running.journal, &self.book, 1, 600, &mut self.random);
            }
            Moment::Any | Moment::InACleanStop => {}
        }
        if let Some(load) = &load {
            load.expect_cut();
        }
        let newest = self.book.open().newest();
        let closing = (moment == Moment::InACleanStop).then(|| {
            let journal = running.journal.clone();
            std::thread::spawn(move || journal.close())
        });
        if closing.is_some() {
            std::thread::sleep(Duration::from_micros(self.random.below(1_500)));
        }
        switch.cut(flush)?;
        self.book.open().cut();
        drop(switch);
        // One more for sure is handed in without power.
        let _ = append(&running.journal, &self.book, 1, 600, &mut self.random);
        load.map_or(Ok(()), Load::end)?;
        if let Some(closing) = closing {
            let closed = closing.join().map_err(|_| "the clean stop panics".to_owned())?;
            if closed.is_ok() {
                self.book.open().closed(&newest);
            }
            self.outcome.in_close += 1;
        }
        drop(running);
        self.told()?;
        self.remount()
    }

    fn wait_for_an_answer(&self) {
        let (before, began) = (self.book.open().acknowledged, Instant::now());
        while self.book.open().acknowledged == before && began.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
    }

    pub(super) fn cut_in_recovery(&mut self) -> Result<(), Wrong> {
        let switch = self.switch()?;
        let (folder, options) = (self.volume.folder().join("bridge"), self.options.clone());
        let opening = std::thread::spawn(move || start(&folder, &options));
        std::thread::sleep(Duration::from_micros(
            self.random.pick(&[500, 3_000, 12_000]) * self.random.below(100) / 100,
        ));
        switch.cut(self.random.pick(&[Flush::Log, Flush::Nothing]))?;
        drop(switch);
        let opened = opening.join().map_err(|_| "the recovery panics".to_owned())?;
        match opened {
            Ok((journal, recovered, _)) => {
                self.note("cut just behind a recovery".into());
                drop(journal);
                let may_go_back = self.is_squeezed && self.open_cuts > 1;
                self.book.open().reopened(&recovered.lanes, recovered.next.0, may_go_back)?;
            }
            Err(error @ (OpenError::Io { .. } | OpenError::NoRoom { .. })) => {
                self.note(format!("cut in a recovery: {error}"));
            }
            Err(error) => return Err(format!("a recovery that is cut off says: {error}")),
        }
        self.outcome.in_recovery += 1;
        self.remount()
    }

    fn switch(&self) -> Result<Switch, Wrong> {
        self.volume.switch().map_err(|error| format!("the mount does not open: {error}"))
    }

    fn remount(&mut self) -> Result<(), Wrong> {
        self.open_cuts += 1;
        self.volume.unmount()?;
        self.volume.mount()
    }
}
