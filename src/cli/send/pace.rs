//! Who posts when: a few threads that share one list of postings.
//!
//! With a rate the loop is open: posting n is due n / rate after the start, whether or not earlier ones are answered,
//! and its latency counts from that moment, so that a slow server cannot hide behind its own slowness.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use super::{Outcome, Rounds, Sender};
use crate::event::Kind;

/// How fast.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Events per second; `None`: each connection posts as soon as its last one is answered.
    pub rate: Option<f64>,
    pub connections: u16,
}

/// One event that has ended.
pub struct Sent {
    pub kind: Kind,
    pub body_bytes: usize,
    pub outcome: Outcome,
    /// From the moment it was due (without a rate: posted) to its end.
    pub latency: Duration,
}

/// Posts all of `rounds`. `take` is called for each ended event, in the order of ending; its error ends the drive.
pub fn drive<E>(
    sender: &Sender,
    rounds: Rounds,
    pace: Pace,
    mut take: impl FnMut(Sent) -> Result<(), E>,
) -> Result<(), E> {
    let connections = u64::from(pace.connections).min(rounds.events()).max(1);
    let list = Mutex::new(rounds.enumerate());
    let began = Instant::now();
    std::thread::scope(|scope| {
        let (tell, ended) = mpsc::sync_channel(1_024);
        for _ in 0..connections {
            let (list, tell) = (&list, tell.clone());
            scope.spawn(move || {
                while let Some(sent) = post_next(sender, list, pace.rate, began) {
                    if tell.send(sent).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        ended.into_iter().try_for_each(&mut take)
    })
}

fn post_next(
    sender: &Sender,
    list: &Mutex<std::iter::Enumerate<Rounds>>,
    rate: Option<f64>,
    began: Instant,
) -> Option<Sent> {
    // A thread that panicked while stepping has left a list that can still be stepped.
    let (number, posting) = list.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next()?;
    let kind = posting.kind;
    let body = posting.into_bytes();
    let due = rate.map(|rate| began + Duration::from_secs_f64(number as f64 / rate));
    if let Some(due) = due {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let from = due.unwrap_or_else(Instant::now);
    let outcome = sender.post(&body);
    Some(Sent { kind, body_bytes: body.len(), outcome, latency: from.elapsed() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::cli::send::Belief;
    use crate::signature::ApiKey;

    #[test]
    fn with_a_rate_the_next_event_does_not_wait_for_the_answer_to_the_last() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        // Answers nobody before all three have come; a closed loop would run into its time-out.
        let server = std::thread::spawn(move || {
            let waiting: Vec<TcpStream> = (0..3).map(|_| listener.accept().unwrap().0).collect();
            for mut stream in waiting {
                let _ = stream.read(&mut [0; 4_096]).unwrap();
                stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            }
        });
        let sender = Sender::new(&url, ApiKey::new("k"), &Belief::default()).unwrap().with_retries(0);
        let rounds = Rounds::made(&[Kind::Test], None, Duration::ZERO, 3);
        let mut kept = 0;
        let done: Result<(), Infallible> = drive(&sender, rounds, Pace { rate: Some(200.0), connections: 3 }, |sent| {
            kept += u32::from(sent.outcome.result.is_ok());
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(kept, 3);
        server.join().unwrap();
    }

    #[test]
    fn an_error_of_the_taker_ends_the_drive() {
        let sender =
            Sender::new("http://127.0.0.1:9/webhook", ApiKey::new("k"), &Belief::default()).unwrap().with_retries(0);
        let rounds = Rounds::made(&[Kind::Test], None, Duration::ZERO, 1_000_000);
        assert_eq!(drive(&sender, rounds, Pace { rate: None, connections: 1 }, |_| Err("stop")), Err("stop"));
    }
}
