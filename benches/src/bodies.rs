//! Bodies in Retell's shape, signed up to their last bytes.
//!
//! In: a size, the number of an event. Out: its body, its signature, its topic and its key; and whether a record found on a
//! topic is that event, byte for byte. Every event is another one: its number stands at the body's end. All before that is
//! a template, hashed once, so that a fresh signature costs the load generator one block of SHA-256 whatever the size.
//!
//! Never happens: two events of one series with equal bodies; a number, a name or a key of somebody real.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::random::Random;

/// The types that are sent; each has its topic.
pub const KINDS: [&str; 3] = ["call_started", "call_ended", "call_analyzed"];
/// What follows a template: the number as 16 hex digits, and the end of three objects.
pub const TAIL_BYTES: usize = 16 + TAIL_END.len();
const KEY_BYTES: usize = 32;
const TAIL_END: &[u8] = br#""}}}"#;
/// Calls that a series speaks of, each a key; of each size more than can be on their way to Kafka at once, as with a
/// sender whose calls are each their own.
const CALLS: [usize; 4] = [16_384, 4_096, 1_024, 32];
/// What is said in them; more of the small ones, or a compressor would meet them again within its window.
const TEXTS: [usize; 4] = [512, 48, 48, 8];
/// Bytes of a body. The huge ones are of this and up to twice as long.
const BODY_BYTES: [usize; 4] = [600, 8_600, 53_000, 500_000];
/// Index into [`KINDS`].
const KIND: [usize; 4] = [0, 1, 2, 2];
/// 34 small, 33 middle, 32 large, 1 huge in a hundred.
const MIX: [usize; 3] = [34, 34 + 33, 34 + 33 + 32];

/// How large the bodies of a round are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// 0.6 kB: `call_started`.
    Small,
    /// 8.6 kB: `call_ended` of half a minute.
    Middle,
    /// 53 kB: `call_analyzed` of three minutes.
    Large,
    /// All three, and one in a hundred of 0.5 to 1 MB.
    Mix,
}

impl Size {
    pub const ALL: [Size; 4] = [Size::Small, Size::Middle, Size::Large, Size::Mix];
    /// Without the mix.
    pub const PLAIN: [Size; 3] = [Size::Small, Size::Middle, Size::Large];

    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Size::Small => "0.6 kB",
            Size::Middle => "8.6 kB",
            Size::Large => "53 kB",
            Size::Mix => "mix",
        }
    }

    /// Short, for command lines.
    pub fn word(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Middle => "middle",
            Size::Large => "large",
            Size::Mix => "mix",
        }
    }

    /// What [`Size::word`] names.
    pub fn of_word(word: &str) -> Option<Size> {
        Size::ALL.into_iter().find(|size| size.word() == word)
    }
}

/// The beginning of a body, all of it but its number.
pub struct Template {
    /// Index into [`KINDS`].
    pub kind: usize,
    pub key: String,
    pub head: Vec<u8>,
    /// The MAC over `head`.
    mac: Hmac<Sha256>,
}

impl Template {
    /// Length of a whole body, bytes.
    pub fn body_bytes(&self) -> usize {
        self.head.len() + TAIL_BYTES
    }

    /// The end of the body of event `number`.
    pub fn tail(&self, number: u64) -> [u8; TAIL_BYTES] {
        let mut tail = [0; TAIL_BYTES];
        hex(&number.to_be_bytes(), &mut tail[..16]);
        tail[16..].copy_from_slice(TAIL_END);
        tail
    }

    /// 64 hex digits: the MAC over body and clock.
    pub fn digest(&self, tail: &[u8], clock: &str) -> [u8; 64] {
        let mut mac = self.mac.clone();
        mac.update(tail);
        mac.update(clock.as_bytes());
        let mut digits = [0; 64];
        hex(&mac.finalize().into_bytes(), &mut digits);
        digits
    }

    /// The whole body of event `number`.
    pub fn body(&self, number: u64) -> Vec<u8> {
        [&self.head[..], &self.tail(number)].concat()
    }
}

/// The number at a body's end.
pub fn number_of(body: &[u8]) -> Option<u64> {
    let tail = body.last_chunk::<TAIL_BYTES>()?;
    u64::from_str_radix(std::str::from_utf8(&tail[..16]).ok()?, 16).ok()
}

fn hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// All templates of one API key, small, middle, large and huge.
pub struct Library {
    texts: [Vec<Text>; 4],
    /// Made where they are first wanted; all at once by [`Library::make_all`].
    templates: [Vec<OnceLock<Template>>; 4],
    mac: Hmac<Sha256>,
}

impl Library {
    /// The same for the same key.
    pub fn new(api_key: &str) -> Library {
        let mut random = Random::new(7);
        let texts = [0, 1, 2, 3].map(|size| {
            let bytes = |at: usize| BODY_BYTES[size] + if size == 3 { BODY_BYTES[3] / TEXTS[3] * at } else { 0 };
            (0..TEXTS[size]).map(|at| text(KIND[size], bytes(at), &mut random)).collect()
        });
        let templates = CALLS.map(|calls| std::iter::repeat_with(OnceLock::new).take(calls).collect());
        let mac = Hmac::<Sha256>::new_from_slice(api_key.as_bytes()).expect("HMAC takes a key of any length");
        Library { texts, templates, mac }
    }

    /// One template for all numbers, of so many bytes, under [`Size::Large`]: larger bodies than those of the mix.
    pub fn of_one(api_key: &str, bytes: usize) -> Library {
        let large = text(KIND[2], bytes, &mut Random::new(7));
        let texts = [Vec::new(), Vec::new(), vec![large], Vec::new()];
        let templates = [Vec::new(), Vec::new(), vec![OnceLock::new()], Vec::new()];
        let mac = Hmac::<Sha256>::new_from_slice(api_key.as_bytes()).expect("HMAC takes a key of any length");
        Library { texts, templates, mac }
    }

    /// Makes every template now, so that no round pays for the first use of one.
    pub fn make_all(&self) {
        for (size, templates) in self.templates.iter().enumerate() {
            for call in 0..templates.len() {
                self.template(size, call);
            }
        }
    }

    /// The template of event `number` in a round of `size`.
    pub fn of(&self, size: Size, number: u64) -> &Template {
        let turn = number as usize;
        match size {
            Size::Small => self.template(0, turn),
            Size::Middle => self.template(1, turn),
            Size::Large => self.template(2, turn),
            Size::Mix => {
                // Scattered, so that no size follows another by rule; each hundred numbers still hold the mix.
                match (turn * 61 + turn / 100 * 37) % 100 {
                    share if share < MIX[0] => self.template(0, turn),
                    share if share < MIX[1] => self.template(1, turn),
                    share if share < MIX[2] => self.template(2, turn),
                    _ => self.template(3, turn / 100),
                }
            }
        }
    }

    fn template(&self, size: usize, turn: usize) -> &Template {
        let call = turn % self.templates[size].len();
        self.templates[size][call].get_or_init(|| {
            let key = format!("call_{:027x}", 0x5eed_0000_u64 + call as u64);
            let Text { before_key, behind_key } = &self.texts[size][call % self.texts[size].len()];
            let head = [before_key, key.as_bytes(), behind_key].concat();
            let mut mac = self.mac.clone();
            mac.update(&head);
            Template { kind: KIND[size], key, head, mac }
        })
    }

    /// Mean length of a body, bytes.
    pub fn mean_bytes(&self, size: Size) -> f64 {
        // As often as each has its turn in a hundred.
        let shares = match size {
            Size::Small => [100, 0, 0, 0],
            Size::Middle => [0, 100, 0, 0],
            Size::Large => [0, 0, 100, 0],
            Size::Mix => [MIX[0], MIX[1] - MIX[0], MIX[2] - MIX[1], 100 - MIX[2]],
        };
        let mean = |texts: &[Text]| texts.iter().map(Text::body_bytes).sum::<usize>() as f64 / texts.len() as f64;
        shares.iter().zip(&self.texts).map(|(share, texts)| *share as f64 / 100.0 * mean(texts)).sum()
    }
}

/// A body without its key and its number.
struct Text {
    before_key: Vec<u8>,
    behind_key: Vec<u8>,
}

impl Text {
    fn body_bytes(&self) -> usize {
        self.before_key.len() + KEY_BYTES + self.behind_key.len() + TAIL_BYTES
    }
}

/// A body as Retell writes it: `event` first, `call_id` early, the transcript as text and again turn by turn with its words
/// and their times.
fn text(kind: usize, bytes: usize, random: &mut Random) -> Text {
    let before_key = format!(
        concat!(
            r#"{{"event":"{kind}","call":{{"call_type":"phone_call","from_number":"+12135550100","#,
            r#""to_number":"+12135550101","direction":"inbound","call_id":""#
        ),
        kind = KINDS[kind],
    );
    let bytes = bytes - before_key.len() - KEY_BYTES;
    let start = 1_795_276_800_000 + random.below(1_000_000);
    let mut text = format!(
        concat!(
            r#"","agent_id":"agent_{agent:016x}","agent_version":3,"call_status":"ended","#,
            r#""start_timestamp":{start},"end_timestamp":{end},"disconnection_reason":"user_hangup","metadata":{{}},"#,
            r#""transcript_object":["#
        ),
        agent = random.next(),
        start = start,
        end = start + 30_000,
    );
    let mut spoken = String::new();
    let mut second = 0.0;
    while text.len() + spoken.len() * 2 + 400 < bytes {
        let role = if random.below(2) == 0 { "agent" } else { "user" };
        let (turn, said) = turn(role, &mut second, random);
        text.push_str(&turn);
        text.push(',');
        spoken.push_str(&said);
    }
    if text.ends_with(',') {
        text.pop();
    }
    text.push_str(r#"],"transcript":""#);
    while text.len() + spoken.len() + 110 < bytes {
        spoken.push_str(&format!("{} ", word(random)));
    }
    spoken.truncate(bytes.saturating_sub(text.len() + 110));
    text.push_str(&spoken);
    text.push_str(r#"","call_cost":{"combined_cost":0.10,"total_duration_seconds":30,"turn":""#);
    Text { before_key: before_key.into_bytes(), behind_key: text.into_bytes() }
}

/// One turn of a talk as JSON, and as a line of text.
fn turn(role: &str, second: &mut f64, random: &mut Random) -> (String, String) {
    let mut words = Vec::new();
    let mut said = String::new();
    for _ in 0..4 + random.below(8) {
        let (start, end) = (*second, *second + 0.05 + random.below(400) as f64 / 1000.0);
        *second = end;
        let word = word(random);
        words.push(format!(r#"{{"word":"{word} ","start":{start:.3},"end":{end:.3}}}"#));
        said.push_str(&word);
        said.push(' ');
    }
    let json = format!(r#"{{"role":"{role}","content":"{}","words":[{}]}}"#, said.trim_end(), words.join(","));
    (json, format!("{role}: {said}\\n"))
}

/// Two or three syllables: as varied as speech is for a compressor.
fn word(random: &mut Random) -> String {
    const SYLLABLES: [&str; 32] = [
        "ta", "lo", "mi", "ren", "so", "ka", "ble", "por", "an", "ti", "ver", "do", "hel", "man", "su", "gra", "pel",
        "no", "fi", "char", "wo", "ing", "est", "qu", "ri", "ter", "con", "dle", "ma", "ya", "ster", "ph",
    ];
    (0..1 + random.below(3)).map(|_| SYLLABLES[random.below(32) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Library {
        Library::new("key_made_up_of_the_bench")
    }

    #[test]
    fn bodies_have_their_sizes_are_json_and_carry_type_key_and_number() {
        let library = library();
        for (size, kind, bytes) in [(Size::Small, 0, 600), (Size::Middle, 1, 8_600), (Size::Large, 2, 53_000)] {
            let template = library.of(size, 5);
            let body = template.body(0xabc);
            let value: serde_json::Value = serde_json::from_slice(&body).expect("a body is JSON");
            assert_eq!(value["event"], KINDS[kind]);
            assert_eq!(value["call"]["call_id"], template.key.as_str());
            assert_eq!(number_of(&body), Some(0xabc));
            assert!(body.len().abs_diff(bytes) < bytes / 10, "{} of {bytes}", body.len());
        }
    }

    #[test]
    fn a_library_of_one_has_bodies_as_large_as_they_are_asked_for() {
        let library = Library::of_one("key_made_up_of_the_bench", 8_380_000);
        let bodies = [1, 2].map(|number| library.of(Size::Large, number).body(number));
        assert!(bodies[0].len().abs_diff(8_380_000) < 1_000, "{}", bodies[0].len());
        assert!(bodies[0] != bodies[1] && number_of(&bodies[1]) == Some(2));
        assert!(serde_json::from_slice::<serde_json::Value>(&bodies[0]).is_ok());
    }

    #[test]
    fn a_signature_is_the_one_that_the_bridge_checks() {
        let library = library();
        let template = library.of(Size::Middle, 3);
        let (tail, clock) = (template.tail(9), 1_795_276_800_000_u64);
        let digest = template.digest(&tail, &clock.to_string());
        let told = format!("v={clock},d={}", std::str::from_utf8(&digest).expect("hex digits are ASCII"));
        assert_eq!(told, support::sign::signature("key_made_up_of_the_bench", &template.body(9), clock));
    }

    #[test]
    fn a_hundred_numbers_hold_the_mix() {
        let library = library();
        for hundred in 0..20_u64 {
            let mut counts = [0; 4];
            for number in hundred * 100..hundred * 100 + 100 {
                let bytes = library.of(Size::Mix, number).body_bytes();
                counts[[1_000, 10_000, 100_000].iter().filter(|bound| bytes > **bound).count()] += 1;
            }
            assert_eq!(counts, [34, 33, 32, 1]);
        }
        assert!((20_000.0..35_000.0).contains(&library.mean_bytes(Size::Mix)));
    }
}
