//! Topics of one scene, and how they change at a restart.

use std::collections::BTreeMap;

use retell_bridge::event::Kind;
use retell_bridge::publisher::Topics;

use crate::random::Random;

/// The settings of the first start.
pub fn first(random: &mut Random) -> Topics {
    let many = random.chance(10);
    let few = vec![Kind::CallStarted, Kind::CallEnded, Kind::TransferStarted, Kind::ChatEnded, Kind::CallInbound];
    let mut topics = Topics {
        prefix: "r.".into(),
        source_prefixes: BTreeMap::new(),
        types: if many { Kind::KNOWN.to_vec() } else { few },
        all: random.chance(40).then(|| "everything".to_owned()),
        overrides: BTreeMap::new(),
    };
    if many || random.chance(40) {
        topics.source_prefixes.insert("gamma".into(), "team.".into());
    }
    topics
}

/// One change, as a person makes it between two starts.
pub fn change(topics: &mut Topics, random: &mut Random) {
    match random.below(6) {
        0 => topics.all = if topics.all.is_none() { Some("everything".to_owned()) } else { None },
        1 => {
            let name = random.pick(&["renamed.one", "renamed.two"]);
            topics.overrides.insert("call_ended".into(), name.into());
        }
        2 => topics.overrides.clear(),
        3 => match topics.types.iter().position(|kind| *kind == Kind::TransferStarted) {
            Some(at) => _ = topics.types.remove(at),
            None => topics.types.push(Kind::TransferStarted),
        },
        4 => match topics.source_prefixes.remove("gamma") {
            Some(_) => {}
            None => _ = topics.source_prefixes.insert("gamma".into(), "team.".into()),
        },
        _ => topics.prefix = random.pick(&["r.", "other."]).into(),
    }
}
