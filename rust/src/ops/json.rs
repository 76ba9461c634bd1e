//! Columns from JSON objects. No Python here.

use std::fmt;

use triomphe::Arc;

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::columns::column::{Column, Span, Values};
use crate::columns::parse::{FieldSpec, Parsed, Plain, Texts, append, hull};

/// A JSON object a line, whose members are fields by their names. Other members are skipped; of
/// those of one name, the last counts.
pub struct ParseJson {
    pub fields: Vec<FieldSpec>,
}

impl ParseJson {
    /// The rows in these lines of a block, and the numbers of the lines that are not plainly right.
    pub fn parse(&self, block: &Arc<Vec<u8>>, lines: &[Span]) -> Parsed<u32> {
        let width = self.fields.len();
        let hull = hull(lines);
        let text = str::from_utf8(&block[hull.clone()]).ok();
        let mut values = Vec::with_capacity(width * lines.len());
        let mut decoded = Vec::new();
        let mut odd = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let start = line.start as usize - hull.start;
            let line = match text {
                Some(text) => text.get(start..start + line.len as usize),
                None => str::from_utf8(line.of(block)).ok(),
            };
            let first = values.len();
            values.resize(first + width, None);
            let object = Object {
                fields: &self.fields,
                block,
                values: &mut values[first..],
                decoded: &mut decoded,
            };
            let is_read = line.is_some_and(|line| object.read(line).is_ok());
            if !is_read || values[first..].contains(&None) {
                values.truncate(first);
                odd.push(number as u32);
            }
        }
        let columns = self.fields.iter().enumerate().map(|(i, field)| {
            let values = values.iter().skip(i).step_by(width).flatten();
            column(field.kind, values.copied(), block, &decoded)
        });
        Parsed {
            rows: lines.len() - odd.len(),
            columns: columns.collect(),
            odd,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Value {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Text that stands in the block as it is.
    At(Span),
    /// Text that held escapes, in the decoded text.
    Decoded(Span),
}

fn column(
    kind: Plain,
    values: impl Iterator<Item = Value> + Clone,
    block: &Arc<Vec<u8>>,
    decoded: &[u8],
) -> Column {
    let is_null: Vec<_> = values.clone().map(|value| value == Value::Null).collect();
    let nulls = is_null.contains(&true).then_some(is_null);
    let values = match kind {
        Plain::Int => Values::Int(
            values
                .map(|value| match value {
                    Value::Int(int) => int,
                    _ => 0,
                })
                .collect(),
        ),
        Plain::Float => Values::Float(
            values
                .map(|value| match value {
                    Value::Float(float) => float,
                    _ => 0.0,
                })
                .collect(),
        ),
        Plain::Bool => Values::Bool(values.map(|value| value == Value::Bool(true)).collect()),
        Plain::Str | Plain::Text => {
            let mut texts = Texts::new(block, 0);
            for value in values {
                match value {
                    Value::Decoded(span) => texts.push_own(span.of(decoded)),
                    Value::At(span) => texts.push(span),
                    _ => texts.push(Span::default()),
                }
            }
            Values::Text(texts.finish())
        }
    };
    Column { values, nulls }
}

/// Reads an object into the values of its fields; the `Visitor` of its members.
struct Object<'a> {
    fields: &'a [FieldSpec],
    block: &'a [u8],
    values: &'a mut [Option<Value>],
    decoded: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn read(self, line: &str) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_str(line);
        json.deserialize_map(self)?;
        json.end()
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let fields = self.fields;
        let mut next = 0;
        while let Some(index) = members.next_key_seed(Name { fields, next })? {
            let Some(index) = index else {
                members.next_value_seed(Skipped)?;
                continue;
            };
            self.values[index] = Some(members.next_value_seed(Member {
                field: &fields[index],
                block: self.block,
                decoded: self.decoded,
            })?);
            next = index + 1;
        }
        Ok(())
    }
}

/// Finds the field of a name. Most members stand in the order of the fields.
struct Name<'a> {
    fields: &'a [FieldSpec],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<usize>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let is_named = |field: &FieldSpec| field.name == name;
        if self.fields.get(self.next).is_some_and(is_named) {
            return Ok(Some(self.next));
        }
        Ok(self.fields.iter().position(is_named))
    }
}

/// Reads the value of a field.
struct Member<'a> {
    field: &'a FieldSpec,
    block: &'a [u8],
    decoded: &'a mut Vec<u8>,
}

impl Member<'_> {
    /// The value, if the field is of one of these kinds.
    fn of<E: Error>(&self, kinds: &[Plain], value: Value) -> Result<Value, E> {
        if kinds.contains(&self.field.kind) {
            Ok(value)
        } else {
            Err(E::custom("another type"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.field.kind.name())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        if self.field.optional {
            Ok(Value::Null)
        } else {
            Err(E::custom("null"))
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.of(&[Plain::Bool], Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        match self.field.kind {
            Plain::Int => Ok(Value::Int(value)),
            _ => self.visit_f64(value as f64),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        match value.try_into() {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // An int `-0` comes here too, and is read as 0 elsewhere.
        if value == 0.0 && value.is_sign_negative() {
            return Err(E::custom("minus zero"));
        }
        self.of(&[Plain::Float], Value::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value, E> {
        let start = text.as_ptr().addr() - self.block.as_ptr().addr();
        self.of(
            &[Plain::Str, Plain::Text],
            Value::At(Span::new(start, text.len())),
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let decoded = append(self.decoded, text.as_bytes());
        self.of(&[Plain::Str, Plain::Text], Value::Decoded(decoded))
    }
}

/// Reads any value, so that all that is wrong with it is found; serde_json limits the depth.
struct Skipped;

impl<'de> DeserializeSeed<'de> for Skipped {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skipped {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Skipped)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(Skipped)?.is_some() {
            members.next_value_seed(Skipped)?;
        }
        Ok(())
    }
}
