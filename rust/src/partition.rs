//! Which shard a record belongs to.
//!
//! An int is used as it is, modulo n; str and bytes by the xxh3-64 fingerprint of their (UTF-8)
//! bytes; a tuple by that of its parts, each behind its type and length, and a tuple of one as that
//! one. Values that compare equal get the same shard, whichever way a key is declared.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString, PyTuple};
use xxhash_rust::xxh3::xxh3_64;

use crate::codec::Shape;
use crate::columns::column::{Batch, Column, Values};
use crate::escape::parse_int;
use crate::groups::keys::moment;
use crate::profile;
use crate::text::NULL;
use crate::value::{Kind, Plain, ascii, mismatch, raw_bytes, small, utf8};

const KEY: &str = "the key";

pub enum Key {
    /// The record itself, of a table of single values.
    Record,
    Field(usize),
    Fields(Vec<usize>),
    Function(Py<PyAny>),
}

/// Turns keys of other types (datetimes, enums) into str, bytes or int.
pub struct Partitioner {
    pub key: Key,
    pub shards: u64,
    pub plain_key: Py<PyAny>,
}

impl Partitioner {
    /// The shard of a record whose shape has been checked.
    pub fn shard(&self, shape: &Shape, record: &Bound<'_, PyAny>) -> PyResult<u32> {
        let shard = match (&self.key, shape) {
            (Key::Field(i), Shape::Class(class)) => self.of_value(&class.get(record, *i)?)?,
            (Key::Fields(fields), Shape::Class(class)) => {
                let mut bytes = Vec::new();
                for &i in fields {
                    self.append_part(&class.get(record, i)?, &mut bytes)?;
                }
                self.of_bytes(&bytes)
            }
            (Key::Function(function), _) => {
                let key = {
                    let _users = profile::users();
                    function.bind(record.py()).call1((record,))?
                };
                self.of_value(&key)?
            }
            _ => self.of_value(record)?,
        };
        Ok(shard as u32)
    }

    /// The shards of all rows of a batch, as `shard` tells them; false where Python has to be asked.
    pub fn shards(&self, shape: &Shape, batch: &Batch, out: &mut Vec<u32>) -> bool {
        out.clear();
        let kinds = |i: usize| match shape {
            Shape::Class(class) => &class.fields[i].kind,
            Shape::Value(kind) => kind,
        };
        let single = match &self.key {
            Key::Record => 0,
            Key::Field(i) => *i,
            Key::Fields(fields) => {
                let mut bytes = Vec::new();
                for row in 0..batch.rows {
                    bytes.clear();
                    for &i in fields {
                        let Some(part) = part(&batch.columns[i], kinds(i), row) else {
                            return false;
                        };
                        part.append(&mut bytes);
                    }
                    out.push(self.of_bytes(&bytes) as u32);
                }
                return true;
            }
            Key::Function(_) => return false,
        };
        let (column, kind) = (&batch.columns[single], kinds(single));
        for row in 0..batch.rows {
            let shard = match part(column, kind, row) {
                Some(Part::Text(text)) => self.of_bytes(text),
                Some(Part::Moment(micros)) => {
                    self.of_bytes(itoa::Buffer::new().format(micros).as_bytes())
                }
                Some(Part::Int(int)) => self.of_int(int),
                Some(Part::Float(float)) => self.of_bytes(&float.to_le_bytes()),
                Some(Part::None) => self.of_bytes(NULL),
                None => return false,
            };
            out.push(shard as u32);
        }
        true
    }

    fn of_int(&self, key: i64) -> u64 {
        key.rem_euclid(self.shards.cast_signed()).cast_unsigned()
    }

    fn of_value(&self, value: &Bound<'_, PyAny>) -> PyResult<u64> {
        if let Some(text) = ascii(value) {
            return Ok(self.of_bytes(text));
        }
        if value.is_instance_of::<PyString>() {
            Ok(self.of_bytes(utf8(KEY, value)?))
        } else if value.is_instance_of::<PyInt>() {
            match small(value) {
                Some(key) => Ok(self.of_int(key)),
                None => value.rem(self.shards)?.extract(),
            }
        } else if value.is_instance_of::<PyBytes>() {
            Ok(self.of_bytes(raw_bytes(KEY, value)?))
        } else if let Ok(parts) = value.cast::<PyTuple>() {
            if parts.len() == 1 {
                let part = parts.get_item(0)?;
                if part.is_instance_of::<PyTuple>() {
                    return Err(mismatch(KEY, "int, str or bytes", &part));
                }
                return self.of_value(&part);
            }
            let mut bytes = Vec::new();
            for part in parts.iter() {
                self.append_part(&part, &mut bytes)?;
            }
            Ok(self.of_bytes(&bytes))
        } else if let Ok(number) = value.cast::<PyFloat>() {
            match whole(number)? {
                Some(int) => self.of_value(&int),
                None => Ok(self.of_bytes(&fraction(number.value()).to_le_bytes())),
            }
        } else {
            self.of_value(&self.plain(value)?)
        }
    }

    fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let fingerprint = xxh3_64(bytes);
        if self.shards.is_power_of_two() {
            fingerprint & (self.shards - 1) // What `%` gives, several times as fast.
        } else {
            fingerprint % self.shards
        }
    }

    fn append_part(&self, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
        let mut part = |tag: u8, bytes: &[u8]| append(tag, bytes, out);
        if value.is_instance_of::<PyString>() {
            part(b's', utf8(KEY, value)?);
        } else if value.is_instance_of::<PyBytes>() {
            part(b's', raw_bytes(KEY, value)?);
        } else if value.is_instance_of::<PyInt>() {
            match small(value) {
                Some(key) => part(b'i', &key.to_le_bytes()),
                None => part(b'i', hexadecimal(value)?.to_str()?.as_bytes()),
            }
        } else if value.is_none() {
            part(b'n', b"");
        } else if let Ok(number) = value.cast::<PyFloat>() {
            match whole(number)? {
                Some(int) => self.append_part(&int, out)?,
                None => part(b'f', &fraction(number.value()).to_le_bytes()),
            }
        } else {
            self.append_part(&self.plain(value)?, out)?;
        }
        Ok(())
    }

    fn plain<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let plain = self.plain_key.bind(value.py()).call1((value,))?;
        let known = plain.is_instance_of::<PyString>() || plain.is_instance_of::<PyInt>();
        if known {
            Ok(plain)
        } else {
            Err(mismatch(KEY, "int, str or bytes", value))
        }
    }
}

/// A float that is no whole number; every NaN is the same.
fn fraction(float: f64) -> f64 {
    if float.is_nan() { f64::NAN } else { float }
}

/// One part of a key, out of a column.
enum Part<'a> {
    None,
    Text(&'a [u8]),
    Int(i64),
    /// Not a whole number.
    Float(f64),
    /// Microseconds since 1970.
    Moment(i64),
}

impl Part<'_> {
    fn append(&self, out: &mut Vec<u8>) {
        let mut decimal = itoa::Buffer::new();
        let (tag, bytes): (u8, &[u8]) = match self {
            Part::None => (b'n', b""),
            Part::Text(text) => (b's', text),
            Part::Int(int) => (b'i', &int.to_le_bytes()),
            Part::Float(float) => (b'f', &float.to_le_bytes()),
            Part::Moment(micros) => (b's', decimal.format(*micros).as_bytes()),
        };
        append(tag, bytes, out);
    }
}

fn append(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// None for a whole number beyond 64 bits.
#[inline]
fn part<'a>(column: &'a Column, kind: &Kind, row: usize) -> Option<Part<'a>> {
    if column.is_null(row) {
        return Some(Part::None);
    }
    Some(match &column.values {
        Values::Text(text) => match kind {
            Kind::Via {
                plain: Plain::EnumInt,
                ..
            } => Part::Int(parse_int(text.get(row))?),
            Kind::Via {
                plain: Plain::Datetime,
                ..
            } => match moment(text.get(row)) {
                Some(micros) => Part::Moment(micros),
                None => Part::Text(text.get(row)),
            },
            _ => Part::Text(text.get(row)),
        },
        Values::Int(_) | Values::Same(_) => Part::Int(column.int(row)),
        Values::Bool(bools) => Part::Int(i64::from(bools[row])),
        Values::Float(floats) => match floats[row] {
            float if float.fract() != 0.0 => Part::Float(fraction(float)),
            float if float.abs() < 9e18 => Part::Int(float as i64),
            _ => return None,
        },
    })
}

/// The int that a float equals, so that 1.0 and 1 share a shard as they share a dict's slot.
fn whole<'py>(number: &Bound<'py, PyFloat>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if number.value().fract() != 0.0 {
        return Ok(None); // Infinities and NaN as well.
    }
    // SAFETY: a new reference, or null with an exception set.
    let int = unsafe {
        Bound::from_owned_ptr_or_err(number.py(), ffi::PyLong_FromDouble(number.value()))?
    };
    Ok(Some(int))
}

/// Without limit and in linear time, where decimals have neither.
fn hexadecimal<'py>(int: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: a new reference, or null with an exception set.
    let text =
        unsafe { Bound::from_owned_ptr_or_err(int.py(), ffi::PyNumber_ToBase(int.as_ptr(), 16))? };
    Ok(text.cast_into::<PyString>()?)
}

/// The shard of a key among `shards`: what a write's sharding does with it.
#[pyfunction]
pub fn shard_of(
    key: &Bound<'_, PyAny>,
    shards: std::num::NonZeroU32,
    plain_key: Py<PyAny>,
) -> PyResult<u64> {
    let shards = u64::from(shards.get());
    Partitioner {
        key: Key::Record,
        shards,
        plain_key,
    }
    .of_value(key)
}
