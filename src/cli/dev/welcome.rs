//! The first words of `dev`: where everything is, what to type next, and how real events get here.

use std::net::SocketAddr;

use super::console::Style;

/// What the words are about.
pub(super) struct Welcome {
    pub(super) style: Style,
    /// This program as it was called, for commands to copy.
    pub(super) program: String,
    pub(super) url: String,
    /// The key that `dev` made for this run.
    pub(super) dev_key: String,
    /// How the user's own key is named, where there is one.
    pub(super) own_key: Option<String>,
    pub(super) brokers: String,
    pub(super) is_embedded: bool,
    /// A topic to read from.
    pub(super) topic: String,
    pub(super) admin: SocketAddr,
    pub(super) journal: String,
    pub(super) allow_unsigned: bool,
}

impl Welcome {
    /// Broker, key and URL by the names of the env file.
    pub(super) fn variables(&self) -> [(&'static str, &str); 3] {
        [("KAFKA_BROKERS", &self.brokers), ("RETELL_API_KEY", &self.dev_key), ("RETELL_WEBHOOK_URL", &self.url)]
    }

    /// The lines, as one text without the last line end.
    pub(super) fn text(&self) -> String {
        let Welcome { style, program, url, dev_key, brokers, topic, .. } = self;
        let head = style.strong("retell-bridge dev: broker, bridge and journal in this process; Ctrl-C ends them");
        let row = |name: &str, what: &str| format!("  {} {what}\n", style.strong(&format!("{name:<10}")));
        let mut text = format!("{head}\n\n");
        text += &row("webhook", url);
        text += &row("key", &format!("export RETELL_API_KEY={dev_key}"));
        text += &row("send", &format!("{program} send --url {url}"));
        text += &row("Kafka", brokers);
        text += &row("read", &format!("kcat -C -b {brokers} -t {topic} -o beginning -f '%T %k %S bytes\\n'"));
        if self.is_embedded {
            text +=
                &row("", "for kcat and clients built on librdkafka (Python, Go, .NET, Rust, Node's confluent client);");
            text +=
                &row("", "not for Java's (console tools, Streams, Connect, Spring): name a real Kafka with --brokers");
        }
        text += &row("metrics", &format!("http://{}/metrics", self.admin));
        text += &row("journal", &self.journal);
        if self.allow_unsigned {
            text += &row("unsigned", "calls from this machine are taken without a signature (--allow-unsigned)");
        }
        text += &format!("\n{}\n", style.strong("Real events: a tunnel, and three steps in Retell's dashboard"));
        let origin = url.strip_suffix("/webhook").unwrap_or(url);
        text += &row("tunnel", &format!("cloudflared tunnel --url {origin}   (or: ngrok http {origin})"));
        let [first, second, third] = self.steps();
        text += &row("1.", &first);
        text += &row("2.", &second);
        text += &row("3.", &third);
        text
    }

    fn steps(&self) -> [String; 3] {
        let key = match &self.own_key {
            Some(own_key) => {
                format!("API Keys: the one with the webhook badge is yours here ({own_key})")
            }
            None => {
                "API Keys: copy the one with the webhook badge; start dev with it (RETELL_API_KEY or --key-file)".into()
            }
        };
        let url = "Webhooks, or an agent's webhook: the tunnel's https address with /webhook behind it".into();
        [key, url, "make a test call: its events are printed below".into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_all_that_a_newcomer_types_next() {
        let welcome = Welcome {
            style: Style { colour: false },
            program: "target/debug/retell-bridge".into(),
            url: "http://127.0.0.1:8080/webhook".into(),
            dev_key: "key_dev_1".into(),
            own_key: Some("fingerprint 0a1b2c3d".into()),
            brokers: "127.0.0.1:41000".into(),
            is_embedded: true,
            topic: "retell.call_ended".into(),
            admin: ([127, 0, 0, 1], 9).into(),
            journal: "/tmp/x".into(),
            allow_unsigned: false,
        };
        let text = welcome.text();
        for part in [
            "export RETELL_API_KEY=key_dev_1\n",
            "target/debug/retell-bridge send --url http://127.0.0.1:8080/webhook\n",
            "kcat -C -b 127.0.0.1:41000 -t retell.call_ended ",
            "not for Java's",
            "cloudflared tunnel --url http://127.0.0.1:8080 ",
            "0a1b2c3d",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
