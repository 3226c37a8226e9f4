//! The settings that clients are made of now: as given, with the values that stood in `kafka.properties_files` when they
//! were last good.
//!
//! In: [`Options`], and the files they name, [read again](crate::reload). Out: options without files, each set with a
//! number of its own, so that a producer can see that it is of an earlier one. Files that librdkafka reads itself
//! (`ssl.ca.location` and the like) are watched, too: it reads them once for each client.
//!
//! Never happens: a set of values in force of which no client can be made; a value in a log line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Options;
use super::settings::{self, SettingsError};
use crate::reload::{self, Contents, Reload, Take};

/// Properties whose value is the path of a file, or of a folder of files, that librdkafka reads.
const LOCATIONS: [&str; 5] =
    ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"];

/// Whether this property's value is the path of a file, or of a folder of files.
pub fn names_a_file(property: &str) -> bool {
    LOCATIONS.contains(&property)
}

/// See the module. Clones are one.
#[derive(Clone)]
pub(super) struct Current {
    in_force: Arc<Mutex<(u64, Arc<Options>)>>,
}

impl Current {
    /// Reads the files for the first time; what reads them again, where the settings name any.
    pub fn new(options: &Options) -> Result<(Current, Option<Reload>), SettingsError> {
        let files = files(options);
        // Before the values are: what changes in between is seen as a change.
        let contents: Vec<Contents> = files.iter().map(|file| reload::read(file)).collect();
        let current = Current { in_force: Arc::new(Mutex::new((0, Arc::new(settings::resolved(options)?)))) };
        let reload = (!files.is_empty()).then(|| {
            let take = current.taker(options.clone());
            Reload::new("credentials for Kafka".to_owned(), files, &contents, take)
        });
        Ok((current, reload))
    }

    /// The options in force, and their number.
    pub fn get(&self) -> (u64, Arc<Options>) {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number alone: another one than before means other options.
    pub fn number(&self) -> u64 {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn taker(&self, options: Options) -> Take {
        let current = self.clone();
        Box::new(move |contents| {
            if let Some(error) = contents.iter().find_map(|each| each.as_ref().err()) {
                return Err(format!("one of the files {error}"));
            }
            let resolved = settings::resolved(&options).map_err(|error| error.to_string())?;
            resolved.check().map_err(|error| error.to_string())?;
            let mut in_force = current.in_force.lock().unwrap_or_else(PoisonError::into_inner);
            *in_force = (in_force.0 + 1, Arc::new(resolved));
            Ok(())
        })
    }
}

/// Every file that a client's credentials come from.
fn files(options: &Options) -> Vec<PathBuf> {
    let named = options.properties.iter().filter(|(name, _)| names_a_file(name));
    let located = named.map(|(_, value)| PathBuf::from(value)).flat_map(|path| in_folder(&path).unwrap_or(vec![path]));
    // `probe` is librdkafka's word for "the system's own".
    let located = located.filter(|path| path != Path::new("probe"));
    options.properties_files.values().cloned().chain(located).collect()
}

/// The files of a folder; `None` where it is none. Files that come later are not seen.
fn in_folder(path: &Path) -> Option<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).ok()?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    Some(files.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::settings::tests::options;

    struct Scene {
        folder: tempfile::TempDir,
        current: Current,
        reload: Reload,
    }

    impl Scene {
        fn new() -> Scene {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("linger");
            std::fs::write(&file, "5\n").unwrap();
            let mut options = options(&[]);
            options.properties_files.insert("linger.ms".to_owned(), file);
            let (current, reload) = Current::new(&options).unwrap();
            Scene { folder, current, reload: reload.unwrap() }
        }

        fn write(&mut self, text: &str) -> Vec<bool> {
            std::fs::write(self.folder.path().join("linger"), text).unwrap();
            (0..3).map(|_| self.reload.look()).collect()
        }

        fn in_force(&self) -> (u64, String) {
            let (number, options) = self.current.get();
            (number, options.properties["linger.ms"].clone())
        }
    }

    #[test]
    fn a_value_that_changes_in_its_file_makes_other_options() {
        let mut scene = Scene::new();
        assert_eq!(scene.in_force(), (0, "5".to_owned()));
        assert_eq!(scene.write("7\n"), [true; 3]);
        assert_eq!(scene.in_force(), (1, "7".to_owned()));
    }

    #[test]
    fn a_value_of_which_no_client_can_be_made_leaves_the_last_good_one_and_raises_the_alarm() {
        let mut scene = Scene::new();
        assert_eq!(scene.write("much\n"), [true, false, false]);
        assert_eq!(scene.in_force(), (0, "5".to_owned()));
        assert_eq!(scene.write("5\n"), [true; 3]);
        assert_eq!(scene.in_force().0, 0);
    }

    #[test]
    fn settings_without_files_are_not_watched() {
        let options = options(&[("ssl.ca.location", "probe")]);
        assert!(Current::new(&options).unwrap().1.is_none());
    }

    #[test]
    fn the_files_that_librdkafka_reads_are_watched_too() {
        let options = options(&[("ssl.key.location", "/etc/kafka/key.pem"), ("sasl.username", "u")]);
        assert_eq!(files(&options), [PathBuf::from("/etc/kafka/key.pem")]);
    }
}
