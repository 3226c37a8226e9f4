//! The loop: what is due goes out, what has come is counted.
//!
//! In: an [`Order`]. Out: its [`Outcome`]. Never happens: a wait in which an event is due; a connection given up for a
//! refusal.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

use super::connection::Connection;
use super::outcome::{Outcome, Status, note};
use super::{Order, Pace};
use crate::random::Random;

/// As Retell's time-out.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Lost connections are opened anew, and answers given up, this often.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// epoll's word for the timer.
const TIMER: u64 = u64::MAX;

pub struct Engine<'a> {
    order: &'a Order<'a>,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Option<Connection<'a>>>,
    /// Connections without a request.
    idle: Vec<usize>,
    /// Open loop: planned times of events that found no connection.
    due: VecDeque<Instant>,
    random: Random,
    next_planned: Instant,
    began: Instant,
    looked: Instant,
    outstanding: usize,
    outcome: Outcome,
}

impl<'a> Engine<'a> {
    pub fn new(order: &'a Order<'a>) -> Engine<'a> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll can be made");
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK).expect("a timer can be made");
        let events = epoll::EventFlags::IN;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), events).expect("a timer can be waited for");
        let count = match order.pace {
            Pace::Closed { connections } | Pace::Open { connections, .. } => connections,
        };
        let now = Instant::now();
        let mut engine = Engine {
            order,
            epoll,
            timer,
            connections: (0..count).map(|_| None).collect(),
            idle: Vec::new(),
            due: VecDeque::new(),
            random: Random::new(order.first ^ 11),
            next_planned: now,
            began: now,
            looked: now,
            outstanding: 0,
            outcome: Outcome::new(order.first),
        };
        (0..count).for_each(|at| engine.connect(at));
        engine
    }

    pub fn run(mut self) -> Outcome {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        self.began = Instant::now();
        self.next_planned = self.began;
        let mut events = Vec::with_capacity(512);
        loop {
            self.feed();
            if self.outstanding == 0 && self.is_over() {
                break;
            }
            self.set_timer();
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("epoll: {error}"),
            }
            for event in &events {
                let (at, flags) = (event.data.u64(), event.flags);
                if at == TIMER {
                    let _ = rustix::io::read(&self.timer, &mut [0; 8]);
                } else {
                    self.serve(at as usize, flags);
                }
            }
            self.look();
        }
        self.outcome.took = self.began.elapsed();
        self.outcome.cpu = since(cpu);
        self.outcome
    }

    fn is_over(&self) -> bool {
        let is_complete = self.outcome.statuses.len() as u64 >= self.order.until.events;
        self.due.is_empty() && (is_complete || self.began.elapsed() >= self.order.until.time)
    }

    /// Sends all that may go now.
    fn feed(&mut self) {
        match self.order.pace {
            Pace::Closed { .. } => {
                while !self.idle.is_empty() && !self.is_over() {
                    self.send(Instant::now());
                }
            }
            Pace::Open { per_second, is_even, .. } => {
                let now = Instant::now();
                while self.next_planned <= now && !self.is_planned_out() {
                    self.due.push_back(self.next_planned);
                    let mean = Duration::from_secs_f64(1.0 / per_second);
                    self.next_planned += if is_even { mean } else { self.random.gap(mean) };
                }
                while !self.idle.is_empty() && !self.due.is_empty() {
                    let planned = self.due.pop_front().expect("it is not empty");
                    note(&mut self.outcome.late, planned.elapsed());
                    self.send(planned);
                }
            }
        }
    }

    /// Open loop: every event has its time, and the last one has passed.
    fn is_planned_out(&self) -> bool {
        let planned = (self.outcome.statuses.len() + self.due.len()) as u64;
        planned >= self.order.until.events || self.next_planned >= self.began + self.order.until.time
    }

    /// The next event over an idle connection.
    fn send(&mut self, since: Instant) {
        let at = self.idle.pop().expect("the caller has seen one");
        let index = self.outcome.statuses.len();
        let number = self.order.first + index as u64;
        let template = self.order.library.of(self.order.size, number);
        let path = &self.order.paths[index % self.order.paths.len()];
        self.outcome.statuses.push(Status::Unanswered);
        let connection = self.connections[at].as_mut().expect("idle ones are open");
        connection.begin(index, number, path, template, since);
        self.outstanding += 1;
        self.go_on_writing(at);
    }

    fn go_on_writing(&mut self, at: usize) {
        let connection = self.connections[at].as_mut().expect("it has a request");
        match connection.write() {
            Ok(is_out) if is_out != connection.waits_to_write => {}
            Ok(is_out) => {
                connection.waits_to_write = !is_out;
                let more = if is_out { epoll::EventFlags::empty() } else { epoll::EventFlags::OUT };
                let data = epoll::EventData::new_u64(at as u64);
                epoll::modify(&self.epoll, &connection.socket, data, epoll::EventFlags::IN | more)
                    .expect("it was added");
            }
            Err(_) => self.lose(at),
        }
    }

    fn serve(&mut self, at: usize, flags: epoll::EventFlags) {
        if flags.contains(epoll::EventFlags::OUT) {
            self.go_on_writing(at);
        }
        let Some(connection) = self.connections[at].as_mut() else { return };
        match connection.read() {
            Ok(None) => {}
            Ok(Some((code, stays))) => {
                let busy = connection.busy.take();
                if let Some(busy) = busy {
                    self.outstanding -= 1;
                    let (took, since_start) = (busy.since.elapsed(), self.began.elapsed());
                    self.outcome.answered(busy.index, code, busy.body_bytes(), took, since_start);
                }
                if stays {
                    self.idle.push(at);
                } else {
                    self.lose(at);
                }
            }
            Err(_) => self.lose(at),
        }
    }

    /// A connection is gone, and with it the answer that it waited for.
    fn lose(&mut self, at: usize) {
        if let Some(connection) = self.connections[at].take() {
            self.outstanding -= usize::from(connection.busy.is_some());
        }
        self.idle.retain(|idle| *idle != at);
    }

    fn connect(&mut self, at: usize) {
        let Ok(connection) = Connection::open(self.order.to) else { return };
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&self.epoll, &connection.socket, data, epoll::EventFlags::IN).expect("a socket can be waited for");
        self.connections[at] = Some(connection);
        self.idle.push(at);
    }

    /// Now and then: answers that come too late, connections that are gone.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        for at in 0..self.connections.len() {
            let busy = self.connections[at].as_ref().and_then(|connection| connection.busy.as_ref());
            if busy.is_some_and(|busy| busy.sent.elapsed() > ANSWER_WITHIN) {
                self.lose(at);
            }
            if self.connections[at].is_none() && !self.is_over() {
                self.connect(at);
            }
        }
    }

    /// Wakes for the next planned event, or to look.
    fn set_timer(&mut self) {
        let look = self.looked + LOOK_EVERY;
        let next = match self.order.pace {
            Pace::Open { .. } if self.due.is_empty() && !self.is_planned_out() => look.min(self.next_planned),
            _ => look,
        };
        let wait = next.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })
            .expect("a timer can be set");
    }
}

fn since(earlier: Timespec) -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = |time: Timespec| time.tv_sec as i128 * 1_000_000_000 + i128::from(time.tv_nsec);
    Duration::from_nanos((nanos(now) - nanos(earlier)) as u64)
}
