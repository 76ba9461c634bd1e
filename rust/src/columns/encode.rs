//! Rows of columns to lines.

use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::column::{Batch, Column, Values};
use crate::columns::schema::Field;
use crate::csv_field::write_field;
use crate::escape::{escape_at, escape_bytes};
use crate::quote::{write_base64, write_str};
use crate::text::{NULL, bare_line};
use crate::value::{Kind, refused};

/// A field as it is written: its name in JSON with quotes and colon, its label in messages, and
/// whether its texts are bytes.
struct Written {
    json_name: Vec<u8>,
    label: String,
    bytes: bool,
}

/// Writes rows of one type in one format.
pub struct Encoder {
    fields: Vec<Written>,
    style: Style,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Style {
    /// One value a line, a str as it is.
    Bare,
    Tabbed,
    /// One JSON value a line, and one JSON object.
    Json,
    JsonObject,
    Csv,
}

impl Encoder {
    /// None where a value has to be made in Python first.
    pub fn new(style: Style, shape: &Shape) -> Option<Self> {
        let json = matches!(style, Style::Json | Style::JsonObject);
        let field = |i: usize| {
            let Field {
                name, label, kind, ..
            } = shape.field(i);
            let made = matches!(kind, Kind::Via { .. } | Kind::Json { .. });
            let mut json_name = Vec::new();
            write_str(name.as_bytes(), &mut json_name);
            json_name.push(b':');
            let field = Written {
                json_name,
                label: label.to_owned(),
                bytes: matches!(kind, Kind::Bytes),
            };
            (!json || !made).then_some(field)
        };
        Some(Self {
            fields: (0..shape.width()).map(field).collect::<Option<_>>()?,
            style,
        })
    }

    /// Appends a row's line, without its line end.
    #[inline]
    pub fn write(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) -> PyResult<()> {
        match self.style {
            Style::Tabbed => {
                for (i, (column, field)) in batch.columns.iter().zip(&self.fields).enumerate() {
                    if i > 0 {
                        out.push(b'\t');
                    }
                    write_tabbed(column, field.bytes, row, out);
                }
                Ok(())
            }
            Style::Bare => match &batch.columns[0].values {
                Values::Text(text) => bare_line(text.get(row), out),
                _ => {
                    write_tabbed(&batch.columns[0], false, row, out);
                    Ok(())
                }
            },
            Style::Json => write_json(&batch.columns[0], &self.fields[0], row, out),
            Style::JsonObject => {
                out.push(b'{');
                for (i, (column, field)) in batch.columns.iter().zip(&self.fields).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&field.json_name);
                    write_json(column, field, row, out)?;
                }
                out.push(b'}');
                Ok(())
            }
            Style::Csv => {
                for (i, column) in batch.columns.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_csv(column, row, out);
                }
                Ok(())
            }
        }
    }
}

#[inline]
fn write_tabbed(column: &Column, bytes: bool, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        out.extend_from_slice(NULL);
        return;
    }
    match &column.values {
        Values::Text(text) if bytes => escape_bytes(text.get(row), out),
        Values::Text(text) => {
            let span = text.spans[row];
            escape_at(&text.data, span.start as usize, span.len as usize, out);
        }
        Values::Float(floats) => {
            out.extend_from_slice(zmij::Buffer::new().format(floats[row]).as_bytes());
        }
        Values::Bool(bools) => write_bool(bools[row], out),
        Values::Int(_) | Values::Same(_) => write_int(column.int(row), out),
    }
}

#[inline]
fn write_csv(column: &Column, row: usize, out: &mut Vec<u8>) {
    match &column.values {
        _ if column.is_null(row) => {}
        Values::Text(text) => write_field(text.get(row), out),
        // Numbers and bools have neither escapes nor quotes.
        _ => write_tabbed(column, false, row, out),
    }
}

fn write_json(column: &Column, field: &Written, row: usize, out: &mut Vec<u8>) -> PyResult<()> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &column.values {
        Values::Text(text) if field.bytes => write_base64(text.get(row), out),
        Values::Text(text) => write_str(text.get(row), out),
        Values::Float(floats) if !floats[row].is_finite() => {
            let why = format!(
                "JSON has no {}; write a `float` field to TXT, or None instead",
                floats[row]
            );
            return Err(refused(&field.label, &why));
        }
        Values::Float(floats) => {
            out.extend_from_slice(zmij::Buffer::new().format_finite(floats[row]).as_bytes());
        }
        Values::Bool(bools) => write_bool(bools[row], out),
        Values::Int(_) | Values::Same(_) => write_int(column.int(row), out),
    }
    Ok(())
}

#[inline]
fn write_int(int: i64, out: &mut Vec<u8>) {
    match u8::try_from(int) {
        Ok(digit @ 0..=9) => out.push(b'0' + digit),
        _ => out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes()),
    }
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}
