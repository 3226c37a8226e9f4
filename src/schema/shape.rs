//! A schema as the check reads it: which JSON types a place may have, which names an object, what the items of a list.
//!
//! In: a document. Out: [`Shape`]. `required`, `anyOf`, `const` and `examples` are not in it: a sample is watched for new
//! names and changed types. An object for which the document gives no names (`metadata`, the variables, the data of an
//! analysis of your own, the transfers' destination) has none here, and what is below it is nobody's business.
//!
//! Never happens: a shape deeper than its document's own nesting (parts do not refer to themselves; a test builds each).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::PART;

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types(u8);

impl Types {
    pub const NULL: Types = Types(1);
    pub const BOOLEAN: Types = Types(2);
    pub const INTEGER: Types = Types(4);
    /// Any number, whole or not.
    pub const NUMBER: Types = Types(8 | 4);
    pub const STRING: Types = Types(16);
    pub const ARRAY: Types = Types(32);
    pub const OBJECT: Types = Types(64);
    const ANY: Types = Types(127);

    fn named(name: &str) -> Types {
        match name {
            "null" => Types::NULL,
            "boolean" => Types::BOOLEAN,
            "integer" => Types::INTEGER,
            "number" => Types::NUMBER,
            "string" => Types::STRING,
            "array" => Types::ARRAY,
            "object" => Types::OBJECT,
            _ => Types::ANY,
        }
    }

    /// Whether every one of `others` is among them.
    pub fn have(self, others: Types) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What may stand at one place.
#[derive(Debug)]
pub struct Shape {
    pub(super) types: Types,
    /// `None`: free in form, not looked into.
    pub(super) fields: Option<HashMap<String, Arc<Shape>>>,
    pub(super) items: Option<Arc<Shape>>,
}

impl Shape {
    /// Of a document as [`super::document`] gives it.
    pub fn of(document: &Value) -> Shape {
        Building { parts: &document["$defs"], built: HashMap::new() }.shape(document)
    }
}

struct Building<'d> {
    parts: &'d Value,
    built: HashMap<&'d str, Arc<Shape>>,
}

impl<'d> Building<'d> {
    fn shared(&mut self, schema: &'d Value) -> Arc<Shape> {
        let Some(name) = schema["$ref"].as_str().and_then(|text| text.strip_prefix(PART)) else {
            return Arc::new(self.shape(schema));
        };
        if let Some(built) = self.built.get(name) {
            return Arc::clone(built);
        }
        let built = Arc::new(self.shape(&self.parts[name]));
        self.built.insert(name, Arc::clone(&built));
        built
    }

    fn shape(&mut self, schema: &'d Value) -> Shape {
        let types = match (&schema["type"], &schema["const"]) {
            (Value::String(name), _) => Types::named(name),
            (Value::Array(names), _) => {
                Types(names.iter().filter_map(Value::as_str).fold(0, |all, name| all | Types::named(name).0))
            }
            (_, Value::String(_)) => Types::STRING,
            _ => Types::ANY,
        };
        let fields = schema["properties"].as_object();
        let fields = fields.map(|fields| fields.iter().map(|(name, each)| (name.clone(), self.shared(each))).collect());
        let items = schema.get("items").map(|items| self.shared(items));
        Shape { types, fields, items }
    }
}
