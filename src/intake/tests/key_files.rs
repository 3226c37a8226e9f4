//! A key file, reading by reading.

use super::*;

struct Scene {
    _folder: tempfile::TempDir,
    path: PathBuf,
    keys: Arc<Keys>,
    reload: Reload,
}

impl Scene {
    fn with(text: &str) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, text).unwrap();
        let fixed = vec![ApiKey::new("fixed")];
        let (keys, reload) = open("s", path.clone(), fixed, Arc::new(Metrics::new())).unwrap();
        Scene { _folder: folder, path, keys, reload }
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// The readings that pass until the keys in force are these; at most ten.
    fn looks_until(&mut self, keys: &[&str]) -> Option<u32> {
        (1..=10).find(|_| {
            self.reload.look();
            self.has(keys)
        })
    }

    fn has(&self, keys: &[&str]) -> bool {
        let expected: Vec<String> = keys.iter().map(|key| ApiKey::new(key).fingerprint().to_owned()).collect();
        let in_force = self.keys.in_force();
        in_force.iter().map(ApiKey::fingerprint).eq(expected.iter().map(String::as_str))
    }
}

#[test]
fn keys_stand_one_a_line_beside_those_of_the_settings() {
    let scene = Scene::with("  one \r\n\n\ttwo\n");
    assert!(scene.has(&["fixed", "one", "two"]));
}

#[test]
fn a_change_counts_when_it_was_seen_twice() {
    let mut scene = Scene::with("one\n");
    scene.write("two\n");
    assert_eq!(scene.looks_until(&["fixed", "two"]), Some(2));
}

#[test]
fn a_file_without_a_line_end_behind_its_last_key_takes_longer() {
    let mut scene = Scene::with("one\n");
    scene.write("two");
    assert_eq!(scene.looks_until(&["fixed", "two"]), Some(5));
}

#[test]
fn a_file_caught_half_written_does_not_count() {
    let mut scene = Scene::with("key_one\n");
    for half in ["", "key_t", "key_two\n", "key_two\nkey_th"] {
        scene.write(half);
        assert!(scene.reload.look());
        assert!(scene.has(&["fixed", "key_one"]), "{half:?}");
    }
    scene.write("key_two\nkey_three\n");
    assert_eq!(scene.looks_until(&["fixed", "key_two", "key_three"]), Some(2));
}

#[test]
fn a_file_that_cannot_be_believed_leaves_the_last_good_keys_and_raises_the_alarm() {
    let mut scene = Scene::with("one\n");
    for bad in [&b""[..], b"\n\n", b"two keys\n", b"one\n\xff\xfe\n", b"a\0b\n", &vec![b'x'; 70_000]] {
        scene.write(bad);
        let well: Vec<bool> = (0..6).map(|_| scene.reload.look()).collect();
        assert!(!well[5], "{well:?}");
        assert!(scene.has(&["fixed", "one"]));
        scene.write("one\n");
        assert!(scene.reload.look(), "what it was before is believed at once");
    }
    std::fs::remove_file(&scene.path).unwrap();
    assert!((0..3).any(|_| !scene.reload.look()));
    assert!(scene.has(&["fixed", "one"]));
    scene.write("three\n");
    assert!(scene.looks_until(&["fixed", "three"]).is_some());
    assert!(scene.reload.look());
}

#[test]
fn the_exchange_of_a_mounted_secret_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    for (version, key) in [("v1", "one\n"), ("v2", "two\n")] {
        std::fs::create_dir(folder.path().join(version)).unwrap();
        std::fs::write(folder.path().join(version).join("keys"), key).unwrap();
    }
    let link = |version| {
        let next = folder.path().join("..data_tmp");
        std::os::unix::fs::symlink(version, &next).unwrap();
        std::fs::rename(&next, folder.path().join("..data")).unwrap();
    };
    link("v1");
    std::os::unix::fs::symlink("..data/keys", folder.path().join("keys")).unwrap();
    let (keys, mut reload) = open("s", folder.path().join("keys"), Vec::new(), Arc::new(Metrics::new())).unwrap();
    link("v2");
    (0..2).for_each(|_| assert!(reload.look()));
    assert_eq!(keys.in_force()[0].fingerprint(), ApiKey::new("two").fingerprint());
}

#[test]
fn an_error_tells_the_line_and_not_what_stands_in_it() {
    let error = parse(&Ok(b"good\nsecret with space\n".to_vec())).unwrap_err();
    assert_eq!(error, KeyFileError::NotAKey(2));
    assert!(!error.to_string().contains("secret"));
}
