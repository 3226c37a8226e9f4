//! Names of letters, and who may send one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::*;
use crate::event::Kind;
use crate::journal::storage::Storage;
use crate::journal::{JournalId, Position};
use crate::publisher::{Delivery, Producer, Receipt, SendError, TopicState};

/// Takes and confirms everything, and counts it.
#[derive(Default)]
struct Taking {
    sent: Arc<AtomicU64>,
    queued: Vec<u64>,
}

impl Producer for Taking {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.queued.push(delivery.token);
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        receipts.extend(self.queued.drain(..).map(|token| Receipt { token, outcome: Ok(()) }));
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

/// A folder with one letter in it, and what counts how often it was sent.
struct Scene {
    folder: tempfile::TempDir,
    disk: Disk,
    kept: Kept,
    again: Again,
    sent: Arc<AtomicU64>,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        disk.create_folder(Path::new("dead")).unwrap();
        let event = Event::unsigned("default", 5, Bytes::from_static(b"{}"));
        let payload = Bytes::from(event.encode().concat());
        let record =
            Record { position: Position(17), journal: JournalId([1; 16]), tag: [0; 16], received_at_ms: 5, payload };
        let topic = Some("retell.call_ended".to_owned());
        let name = Letter::name(topic.as_deref(), &record);
        std::fs::write(folder.path().join(format!("dead/{name}.dead")), b"the letter").unwrap();
        let kept = Kept { name, letter: Some(Letter { reason: "too_large".into(), topic, record }), is_damaged: false };
        let topics = Topics {
            prefix: "retell.".into(),
            source_prefixes: BTreeMap::new(),
            types: Kind::KNOWN.to_vec(),
            all: None,
            overrides: BTreeMap::new(),
        };
        let sent = Arc::new(AtomicU64::new(0));
        let producer = Taking { sent: Arc::clone(&sent), queued: Vec::new() };
        let again = Again::new(Box::new(producer), Router::new(&topics), Duration::ZERO);
        Scene { folder, disk, kept, again, sent }
    }

    fn send(&mut self, disk: &Disk) -> Result<Option<Vec<String>>, StaysError> {
        send(&mut self.again, disk, &self.kept, None)
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

#[test]
fn a_letter_that_is_confirmed_leaves_the_folder_and_is_not_sent_twice() {
    let mut scene = Scene::new();
    let disk = scene.disk.clone();
    assert_eq!(scene.send(&disk).unwrap(), Some(vec!["retell.call_ended".to_owned()]));
    assert!(names(&disk).unwrap().is_empty());
    assert_eq!((scene.send(&disk).unwrap(), scene.sent()), (None, 1), "whoever read it before finds it gone");
}

#[test]
fn a_letter_that_another_one_is_sending_is_passed_over_and_can_be_sent_when_that_one_has_ended() {
    let mut scene = Scene::new();
    let disk = scene.disk.clone();
    let other = dead::claim(&Disk::new(scene.folder.path()).unwrap(), &scene.kept.name).unwrap();
    assert!(matches!(scene.send(&disk), Err(StaysError::Claimed)));
    assert_eq!(scene.sent(), 0);
    drop(other);
    assert!(scene.send(&disk).unwrap().is_some() && scene.sent() == 1);
}

#[test]
fn a_letter_that_could_not_be_removed_is_not_sent_at_all() {
    let mut scene = Scene::new();
    let disk = Disk::read_only(scene.folder.path());
    let told = scene.send(&disk).unwrap_err();
    assert!(matches!(told, StaysError::NotRemovable(_)), "{told}");
    assert_eq!((scene.sent(), names(&disk).unwrap().len()), (0, 1));
}

#[test]
fn a_letter_is_meant_by_its_name_its_short_name_and_its_position() {
    let name = format!("{}-00000000000000000017-9f3a01bc", "ab".repeat(16));
    assert_eq!(short(&name), "17-9f3a01bc");
    for id in [name.as_str(), "17-9f3a01bc", "17"] {
        assert!(is_meant(id, &name), "{id}");
    }
    for id in ["1", "7", "17-", "9f3a01bc", ""] {
        assert!(!is_meant(id, &name), "{id}");
    }
    assert_eq!(short("by hand"), "by hand");
    let [twin, foreign] = ["ab", "cd"].map(|id| format!("{}-00000000000000000017-00000001", id.repeat(16)));
    assert!(is_same_event(&name, &twin) && !is_same_event(&name, &foreign));
}

#[test]
fn a_damaged_letter_is_told_with_the_position_where_its_event_may_still_be() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("dead")).unwrap();
    let name = format!("{}-00000000000000000017-9f3a01bc", "ab".repeat(16));
    for (name, cure) in [(name.as_str(), "with --position 17"), ("by_hand", "keep it, and ask for help")] {
        std::fs::write(folder.path().join(format!("dead/{name}.dead")), b"garbage").unwrap();
        let kept = read(&Disk::read_only(folder.path()), name).unwrap().unwrap();
        let told = kept.unreadable().to_string();
        assert!(told.starts_with("its file is damaged; ") && told.ends_with(cure), "{told}");
        assert!(damage(name).ends_with(cure), "{}", damage(name));
    }
}
