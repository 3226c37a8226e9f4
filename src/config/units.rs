//! Values with units, and secrets: what a person writes in, an exact number out. A size or time without a unit is
//! refused, because nobody can tell by looking whether `30` is seconds, minutes or bytes.
//!
//! Each keeps the text it was written as, so that `config show` prints `24h` and not `1day`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::signature::ApiKey;

/// What a size must look like, for errors.
pub const SIZE_FORM: &str = "write a number and a unit, such as 512KiB, 8MiB or 10GiB";
/// What a time must look like, for errors.
pub const TIME_FORM: &str = "write a number and a unit, such as 500ms, 8s, 5m, 24h or 30d";

/// A size in bytes, written `8MiB`.
#[derive(Debug, Clone)]
pub struct Size {
    bytes: u64,
    text: Cow<'static, str>,
}

/// A length of time, written `24h`.
#[derive(Debug, Clone)]
pub struct Time {
    duration: Duration,
    text: Cow<'static, str>,
}

/// A text that is never shown; where it has to be named, by its fingerprint.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Size {
    /// Reads a size; the error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Size, &'static str> {
        let text = text.trim();
        if text.ends_with(|last: char| last.is_ascii_digit()) {
            return Err("has no unit");
        }
        let size: ByteSize = text.parse().map_err(|_| "is not a size")?;
        Ok(Size { bytes: size.as_u64(), text: Cow::Owned(text.to_owned()) })
    }

    /// A default, written in this program.
    pub fn literal(text: &'static str) -> Size {
        let bytes = Size::parse(text).expect("defaults are sizes, as a test holds").bytes;
        Size { bytes, text: Cow::Borrowed(text) }
    }

    /// In bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Time {
    /// Reads a time; the error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Time, &'static str> {
        let text = text.trim();
        if text.ends_with(|last: char| last.is_ascii_digit()) {
            return Err("has no unit");
        }
        let duration = humantime::parse_duration(text).map_err(|_| "is not a time")?;
        Ok(Time { duration, text: Cow::Owned(text.to_owned()) })
    }

    /// A default, written in this program.
    pub fn literal(text: &'static str) -> Time {
        let duration = Time::parse(text).expect("defaults are times, as a test holds").duration;
        Time { duration, text: Cow::Borrowed(text) }
    }

    /// A duration as a setting may be written: in the largest unit that needs no fraction.
    pub fn written(duration: Duration) -> String {
        const UNITS: [(u128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let ms = duration.as_millis();
        let unit = UNITS.into_iter().find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms));
        unit.map_or_else(|| format!("{ms}ms"), |(unit_ms, name)| format!("{}{name}", ms / unit_ms))
    }

    /// As a duration.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: &str) -> Secret {
        Secret(SecretString::from(text))
    }

    /// As a key of the sender.
    pub fn api_key(&self) -> ApiKey {
        ApiKey::new(self.0.expose_secret())
    }

    /// Why it cannot be a key, if so: nothing that Retell hands out is empty or has blanks in it.
    pub fn key_trouble(&self) -> Option<&'static str> {
        key_trouble(self.0.expose_secret())
    }
}

/// Why a text cannot be one API key. The same is asked of the lines of a key file.
pub fn key_trouble(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if !text.chars().all(|each| each.is_ascii_graphic()) {
        Some("has a blank, a line break or a character beyond ASCII in it")
    } else {
        None
    }
}

macro_rules! as_text {
    ($type:ident, $format:literal, $example:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = String::deserialize(deserializer)?;
                $type::parse(&text).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": $format, "examples": [$example]})
            }
        }
    };
}

as_text!(Size, "size", "8MiB");
as_text!(Time, "time", "24h");

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Serialize for Secret {
    /// Its fingerprint: the text itself leaves by [`Secret::api_key`] alone.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("(key {})", self.api_key().fingerprint()))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        // Not by way of an error that quotes what it met.
        String::deserialize(deserializer).map(|text| Secret::new(&text)).map_err(|_| de::Error::custom("not a text"))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "secret", "writeOnly": true})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_that_people_write() {
        for (text, bytes) in
            [("8MiB", 8 << 20), ("8Mi", 8 << 20), ("10 GiB", 10 << 30), ("1.5KiB", 1536), ("1MB", 1_000_000)]
        {
            assert_eq!(Size::parse(text).map(|size| size.bytes()), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_neither_a_size_nor_a_time() {
        assert_eq!(Size::parse("8388608").err(), Some("has no unit"));
        assert_eq!(Time::parse("30").err(), Some("has no unit"));
        assert_eq!(Time::parse("0").err(), Some("has no unit"));
    }

    #[test]
    fn what_is_no_size_or_time_is_refused() {
        for text in ["", "much", "-1MiB", "8 MiBs", "MiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        for text in ["", "soon", "-5s", "5 fortnights", "s"] {
            assert!(Time::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_is_shown_as_it_was_written() {
        assert_eq!(Time::parse("24h").unwrap().to_string(), "24h");
        assert_eq!(Time::parse("24h").unwrap().duration(), Duration::from_secs(86_400));
    }

    #[test]
    fn a_duration_is_written_as_settings_take_it() {
        for text in ["30d", "1d", "36h", "90m", "5s", "1500ms", "0ms"] {
            assert_eq!(Time::written(Time::parse(text).unwrap().duration()), text);
        }
        assert_eq!(Time::written(Time::parse("24h").unwrap().duration()), "1d");
    }

    #[test]
    fn a_secret_shows_its_fingerprint_and_never_its_text() {
        let secret = Secret::new("key_made_up");
        assert!(!format!("{secret:?}").contains("made_up"));
        let shown = serde_json::to_string(&secret).unwrap();
        assert!(shown.contains(secret.api_key().fingerprint()) && !shown.contains("made_up"), "{shown}");
    }
}
