//! The walk of the check: a body read by serde_json, value by value, beside the shape of its type. Nothing of it is kept.
//!
//! In: a [`Place`], which is a shape and the [`Walk`] so far. Out: findings in the walk; an error where the body is no JSON
//! or is nested deeper than serde_json reads. Never happens: recursion deeper than that, 128 levels; a look at a value
//! beyond its JSON type.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::check::{Walk, plain};
use super::shape::{Shape, Types};

/// A value that has a place in the schema.
pub(super) struct Place<'s, 'w> {
    pub shape: &'s Shape,
    pub walk: &'w mut Walk<'s>,
}

impl Place<'_, '_> {
    fn is(self, types: Types) {
        if !self.shape.types.have(types) {
            self.walk.mismatch();
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.is(Types::NULL);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.is(Types::BOOLEAN);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.is(Types::INTEGER);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.is(Types::INTEGER);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        // To JSON Schema 1.0 is an integer.
        self.is(if number.fract() == 0.0 { Types::INTEGER } else { Types::NUMBER });
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.is(Types::STRING);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match &self.shape.items {
            Some(items) if self.shape.types.have(Types::ARRAY) => {
                while seq.next_element_seed(Place { shape: items, walk: &mut *self.walk })?.is_some() {}
            }
            _ => {
                self.is(Types::ARRAY);
                while seq.next_element_seed(Free)?.is_some() {}
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(fields) = self.shape.fields.as_ref().filter(|_| self.shape.types.have(Types::OBJECT)) else {
            self.is(Types::OBJECT);
            while map.next_key_seed(Free)?.is_some() {
                map.next_value_seed(Free)?;
            }
            return Ok(());
        };
        while let Some(name) = map.next_key_seed(Name(fields))? {
            match name {
                Named::Known(name, shape) => {
                    self.walk.path.push(name);
                    let read = map.next_value_seed(Place { shape, walk: &mut *self.walk });
                    self.walk.path.pop();
                    read?;
                }
                Named::Unknown(name) => {
                    self.walk.unknown(name);
                    map.next_value_seed(Free)?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a field: the schema's own, or a sender's, where it is plain.
enum Named<'s> {
    Known(&'s str, &'s Shape),
    Unknown(Option<String>),
}

struct Name<'s>(&'s HashMap<String, Arc<Shape>>);

impl<'de, 's> DeserializeSeed<'de> for Name<'s> {
    type Value = Named<'s>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Named<'s>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for Name<'s> {
    type Value = Named<'s>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Named<'s>, E> {
        Ok(match self.0.get_key_value(name) {
            Some((name, shape)) => Named::Known(name, shape),
            None => Named::Unknown(plain(name).then(|| name.to_owned())),
        })
    }
}

/// A value of which nothing is known: read to its end. By recursion, which serde_json ends at 128 levels.
struct Free;

impl<'de> DeserializeSeed<'de> for Free {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Free {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Free)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Free)?.is_some() {
            map.next_value_seed(Free)?;
        }
        Ok(())
    }
}
