//! Tests of the parsers, against slow and simple readers of the same formats.

// What the rest of the core uses.
#![allow(dead_code)]

#[path = "../src/columns"]
mod columns {
    pub mod column;
    pub mod marks;
    pub mod number;
    pub mod parse;
    pub mod quotes;
    pub mod txt;
}
#[path = "../src/escape.rs"]
mod escape;
#[path = "../src/ops"]
mod ops {
    pub mod csv;
    pub mod json;
}

use std::borrow::Cow;

use triomphe::Arc;

use columns::column::{Column, Span, Values};
use columns::parse::{FieldSpec, Parsed, Plain};
use columns::quotes::{Quotes, Unclosed};
use columns::{marks, number, txt};
use ops::csv::{Bad, Layout, ParseCsv, Split, row_fields};
use ops::json::ParseJson;

const KINDS: [Plain; 5] = [
    Plain::Str,
    Plain::Int,
    Plain::Float,
    Plain::Bool,
    Plain::Text,
];

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Some of the parts, one after the other.
    fn text(&mut self, parts: &[&[u8]], most: usize) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).flat_map(|_| self.pick(parts).to_vec()).collect()
    }

    fn fields(&mut self) -> Vec<FieldSpec> {
        (0..1 + self.below(4))
            .map(|i| FieldSpec {
                name: char::from(b'a' + i as u8).to_string(),
                kind: KINDS[self.below(5)],
                optional: self.below(2) == 0,
            })
            .collect()
    }
}

#[derive(Clone, PartialEq, Debug)]
enum Value {
    Null,
    Text(Vec<u8>),
    Int(i64),
    Float(u64),
    Bool(bool),
}

fn float(value: f64) -> Value {
    Value::Float(if value.is_nan() { 0 } else { value.to_bits() })
}

fn value(column: &Column, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match &column.values {
        Values::Text(text) => Value::Text(text.get(row).to_vec()),
        Values::Int(ints) => Value::Int(ints[row]),
        Values::Float(floats) => float(floats[row]),
        Values::Bool(bools) => Value::Bool(bools[row]),
        Values::Same(_) => unreachable!(),
    }
}

fn rows<Odd>(parsed: &Parsed<Odd>) -> Vec<Vec<Value>> {
    (0..parsed.rows)
        .map(|row| parsed.columns.iter().map(|c| value(c, row)).collect())
        .collect()
}

fn field(name: &str, kind: Plain, optional: bool) -> FieldSpec {
    FieldSpec {
        name: name.into(),
        kind,
        optional,
    }
}

fn block_of(lines: &[impl AsRef<[u8]>]) -> (Arc<Vec<u8>>, Vec<Span>) {
    let mut block = Vec::new();
    let mut spans = Vec::new();
    for line in lines {
        spans.push(Span::new(block.len(), line.as_ref().len()));
        block.extend_from_slice(line.as_ref());
        block.push(b'\n');
    }
    (Arc::new(block), spans)
}

#[test]
fn marks_are_where_the_bytes_stand() {
    let mut random = Random(1);
    for _ in 0..2000 {
        let block: Vec<u8> = (0..random.below(300))
            .map(|_| [0, b'\t', b'\n', b'\\', 0x80, 0xff, b'a', b'b'][random.below(8)])
            .collect();
        let start = random.below(block.len() + 1);
        let end = start + random.below(block.len() - start + 1);
        let bytes = [b'\t', b'\n', [b'\\', 0, 0xff][random.below(3)]];
        let expected: Vec<u32> = (start..end)
            .filter(|&i| bytes.contains(&block[i]))
            .map(|i| i as u32)
            .collect();
        let mut found = Vec::new();
        marks::find(&block, start..end, bytes, &mut found);
        assert_eq!(found, expected);
        if let Some(chunk) = block.first_chunk() {
            let mask = marks::portable_mask(chunk, bytes);
            for (i, byte) in chunk.iter().enumerate() {
                assert_eq!(mask >> i & 1 == 1, bytes.contains(byte));
            }
        }
    }
}

fn plain_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok()?.parse().ok().filter(|_| is_plain)
}

#[test]
fn ints_are_decimals_of_64_bits() {
    let check = |text: &[u8], before: &[u8]| {
        let mut block = before.to_vec();
        let span = Span::new(block.len(), text.len());
        block.extend_from_slice(text);
        block.extend_from_slice(b"1234567890");
        assert_eq!(number::int(&block, span), plain_int(text), "{text:?}");
    };
    let mut random = Random(2);
    for _ in 0..20_000 {
        let mut text = random.below(usize::MAX).to_string().into_bytes();
        text.truncate(random.below(text.len() + 1));
        if random.below(3) == 0 {
            text.insert(0, b'-');
        }
        if random.below(3) == 0 && !text.is_empty() {
            let at = random.below(text.len());
            text[at] = random.below(256) as u8;
        }
        let before = random.text(&[b"7", b"-", b"\xff"], 9);
        check(&text, &before);
    }
    for text in [
        "",
        "-",
        "--1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "-0",
        "007",
        "12345678",
        "123456789",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "9999999999999999999",
        "00000000000000000001",
    ] {
        check(text.as_bytes(), b"");
        check(text.as_bytes(), b"........");
    }
}

#[test]
fn floats_are_those_of_the_standard_library() {
    let check = |text: &str| {
        let expected = text.parse().ok().map(float);
        assert_eq!(
            number::float(text.as_bytes()).map(float),
            expected,
            "{text:?}"
        );
    };
    let mut random = Random(3);
    for _ in 0..20_000 {
        check(&f64::from_bits(random.below(usize::MAX) as u64).to_string());
        check(&(random.below(100_000) as f64 / 100.0).to_string());
        check(&format!(
            "{}e{}",
            random.below(usize::MAX),
            random.below(700) as i32 - 350
        ));
        let parts: [&[u8]; 10] = [b"1", b"0", b"9", b".", b"e", b"E", b"+", b"-", b"_", b" "];
        check(str::from_utf8(&random.text(&parts, 6)).unwrap());
    }
    for text in [
        "",
        "inf",
        "-inf",
        "+inf",
        "Infinity",
        "iNf",
        "infin",
        "nan",
        "NaN",
        "-nan",
        "+nan",
        "nan(1)",
        "1e400",
        "-1e-400",
        "0x10",
        "1f",
        "é",
        "١",
        "1.7976931348623159e308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "9007199254740993",
        "1e",
        ".5",
        "5.",
        ".",
    ] {
        check(text);
    }
    assert_eq!(number::float(b"\xff"), None);
}

fn txt_value(field: &FieldSpec, text: &[u8]) -> Option<Value> {
    if field.optional && text == b"\\N" {
        return Some(Value::Null);
    }
    let plain = || Some(escape::unescape(text).ok()?.into_owned());
    Some(match field.kind {
        Plain::Str => Value::Text(String::from_utf8(plain()?).ok()?.into_bytes()),
        Plain::Text => Value::Text(plain()?),
        Plain::Int => Value::Int(plain_int(text)?),
        Plain::Float => float(str::from_utf8(text).ok()?.parse().ok()?),
        Plain::Bool => Value::Bool(match text {
            b"true" => true,
            b"false" => false,
            _ => return None,
        }),
    })
}

/// The lines of a text, where they begin.
fn slow_lines(text: &[u8]) -> Vec<(usize, &[u8])> {
    let mut start = 0;
    text.split_inclusive(|&byte| byte == b'\n')
        .map(|line| {
            start += line.len();
            (start - line.len(), line.strip_suffix(b"\n").unwrap_or(line))
        })
        .collect()
}

#[test]
fn txt_is_read_as_line_by_line() {
    let mut random = Random(4);
    let values: [&[u8]; 18] = [
        b"word",
        b"",
        b"7",
        b"-12",
        b"123456789012345678",
        b"99999999999999999999",
        b"1.5",
        b"nan",
        b"true",
        b"false",
        b"\\N",
        b"a\\tb",
        b"\\\\",
        b"\\xc3\\xa9",
        b"\\xff",
        b"\\q",
        "é".as_bytes(),
        b"a text that is longer than the others, so that chunks of 64 end anywhere",
    ];
    for round in 0..3000 {
        let fields = random.fields();
        let mut block = random.text(&[b"before\n"], 3);
        let start = block.len();
        let most = if round % 50 == 0 { 2000 } else { 40 };
        for _ in 0..random.below(most) {
            let count = match random.below(8) {
                0 => 1 + random.below(6),
                _ => fields.len(),
            };
            for i in 0..count {
                let right: &[&[u8]] = match fields.get(i).map(|field| field.kind) {
                    Some(Plain::Int) => &values[2..5],
                    Some(Plain::Float) => &values[6..8],
                    Some(Plain::Bool) => &values[8..10],
                    _ => &values,
                };
                let value = match random.below(8) {
                    0 => random.pick(&values),
                    _ => random.pick(right),
                };
                block.extend_from_slice(if i > 0 { b"\t" } else { b"" });
                block.extend_from_slice(value);
            }
            if round % 5 == 0 && random.below(20) == 0 {
                block.push(0xff);
            }
            block.push(b'\n');
        }
        if random.below(2) == 0 && block.len() > start {
            block.pop();
        }
        let end = block.len();
        if block.ends_with(b"\n") {
            block.extend(random.text(&[b"\tbehind\n"], 20));
        }
        let (mut expected, mut odd) = (Vec::new(), Vec::new());
        for (at, line) in slow_lines(&block[start..end]) {
            let texts: Vec<_> = line.split(|&byte| byte == b'\t').collect();
            let row: Option<Vec<_>> = fields
                .iter()
                .zip(&texts)
                .map(|(f, t)| txt_value(f, t))
                .collect();
            match row.filter(|_| texts.len() == fields.len()) {
                Some(row) => expected.push(row),
                None => odd.push(Span::new(start + at, line.len())),
            }
        }
        let block = Arc::new(block);
        let parsed = txt::decode(&block, start..end, &fields);
        assert_eq!(parsed.odd, odd);
        assert_eq!(rows(&parsed), expected);
    }
}

#[test]
fn text_is_copied_only_where_it_holds_escapes() {
    let block = Arc::new(b"a\tb\\tb\n\\N\tc\n\\q\td".to_vec());
    let fields = [field("x", Plain::Str, true), field("y", Plain::Str, false)];
    let parsed = txt::decode(&block, 0..block.len(), &fields);
    assert!(Arc::ptr_eq(&parsed.columns[0].text().data, &block));
    assert!(!Arc::ptr_eq(&parsed.columns[1].text().data, &block));
    assert_eq!(parsed.columns[1].text().get(0), b"b\tb");
    assert_eq!(parsed.columns[0].nulls, Some(vec![false, true]));
    assert_eq!(parsed.odd, [Span::new(12, 4)]);
}

#[test]
fn lines_and_single_values_are_read() {
    let mut random = Random(5);
    let parts: [&[u8]; 9] = [
        b"\n", b"\r\n", b"\r", b"12", b"-3", b"true", b"2.5", b"\t", b"\xff",
    ];
    for _ in 0..3000 {
        let block = Arc::new(random.text(&parts, 60));
        let start = random.below(block.len() + 1);
        let crlf = random.below(2) == 0;
        let expected: Vec<_> = slow_lines(&block[start..])
            .into_iter()
            .map(|(at, line)| {
                let ended = start + at + line.len() < block.len();
                let cut = crlf && ended && line.ends_with(b"\r");
                Span::new(start + at, line.len() - usize::from(cut))
            })
            .collect();
        let mut lines = Vec::new();
        txt::lines(&block, start..block.len(), crlf, &mut lines);
        assert_eq!(lines, expected);
        for kind in KINDS {
            let single = field("", kind, false);
            let read = |line: &&Span| match kind {
                Plain::Text => Some(Value::Text(line.of(&block).to_vec())),
                _ => txt_value(&single, line.of(&block)),
            };
            let (good, odd): (Vec<_>, Vec<_>) = lines.iter().partition(|line| read(line).is_some());
            let parsed = txt::decode_bare(&block, start..block.len(), crlf, kind);
            let values: Vec<_> = good.iter().map(|line| vec![read(&line).unwrap()]).collect();
            assert_eq!(rows(&parsed), values);
            assert_eq!(parsed.odd, odd);
        }
    }
    let block = Arc::new(b"a\\tb\n\\q\n\\N".to_vec());
    let parsed = txt::decode_bare(&block, 0..block.len(), false, Plain::Str);
    assert_eq!(
        (parsed.rows, parsed.columns[0].text().get(1)),
        (3, &b"\\q"[..])
    );
}

fn csv_value(field: &FieldSpec, text: &[u8], quoted: bool) -> Option<Value> {
    let is_text = matches!(field.kind, Plain::Str | Plain::Text);
    if field.optional && text.is_empty() && !(quoted && is_text) {
        return Some(Value::Null);
    }
    if field.kind == Plain::Text {
        return Some(Value::Text(text.to_vec()));
    }
    let str = str::from_utf8(text).ok()?;
    Some(match field.kind {
        Plain::Int => Value::Int(str.trim().parse().ok()?),
        Plain::Float => float(str.trim().parse().ok()?),
        Plain::Bool => Value::Bool(match &*str.to_ascii_lowercase() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return None,
        }),
        _ => Value::Text(text.to_vec()),
    })
}

/// The fields of a row of CSV, byte by byte.
fn slow_csv(line: &[u8]) -> Option<Vec<(Vec<u8>, bool)>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let mut text = Vec::new();
        let quoted = rest.starts_with(b"\"");
        if let [b'"', more @ ..] = rest {
            rest = more;
            loop {
                match rest {
                    [b'"', b'"', more @ ..] => {
                        text.push(b'"');
                        rest = more;
                    }
                    [b'"', more @ ..] => {
                        rest = more;
                        break;
                    }
                    [byte, more @ ..] => {
                        text.push(*byte);
                        rest = more;
                    }
                    [] => return None,
                }
            }
        } else {
            let end = rest.iter().position(|&byte| byte == b',');
            let (unquoted, more) = rest.split_at(end.unwrap_or(rest.len()));
            text.extend_from_slice(unquoted);
            rest = more;
        }
        fields.push((text, quoted));
        match rest {
            [b',', more @ ..] => rest = more,
            [] => return Some(fields),
            _ => return None,
        }
    }
}

fn check_rows(
    parsed: &Parsed<(u32, Bad)>,
    lines: &[Vec<u8>],
    layout: &Layout,
    cut: impl Fn(&[u8]) -> Option<Vec<(Vec<u8>, bool)>>,
) {
    let (mut expected, mut bad) = (Vec::new(), Vec::new());
    for (i, line) in lines.iter().enumerate() {
        let texts = cut(line).filter(|texts| texts.len() == layout.width);
        let row: Option<Vec<_>> = texts.and_then(|texts| {
            let fields = layout.fields.iter().zip(&layout.columns);
            fields
                .map(|(field, &column)| csv_value(field, &texts[column].0, texts[column].1))
                .collect()
        });
        match row {
            Some(row) => expected.push(row),
            None => bad.push(i as u32),
        }
    }
    let odd: Vec<u32> = parsed.odd.iter().map(|(line, _)| *line).collect();
    assert_eq!(odd, bad, "{:?}", parsed.odd);
    assert_eq!(rows(parsed), expected);
}

#[test]
fn csv_is_read_as_byte_by_byte() {
    let mut random = Random(6);
    let parts: [&[u8]; 17] = [
        b",",
        b",",
        b",",
        b"\"",
        b"\"\"",
        b"\"a,b\"",
        b"a",
        b"7",
        b"-1",
        b" ",
        b"+",
        b"true",
        b"FALSE",
        b"1.5",
        b"\r",
        "é".as_bytes(),
        b"\"\"\"\"",
    ];
    for round in 0..20_000 {
        let fields = random.fields();
        let mut lines: Vec<_> = (0..random.below(6))
            .map(|_| random.text(&parts, 7))
            .collect();
        if round % 10 == 0 {
            lines.push(vec![0xff]);
        }
        let (block, spans) = block_of(&lines);
        let width = fields.len() + random.below(3);
        let layout = Layout {
            columns: fields.iter().map(|_| random.below(width)).collect(),
            fields,
            width,
        };
        let csv = ParseCsv {
            layout,
            delimiter: b',',
            quote: b'"',
        };
        check_rows(&csv.parse(&block, &spans), &lines, &csv.layout, slow_csv);
        for line in &lines {
            let fields = row_fields(b',', line).ok();
            let fields = fields.map(|all| all.into_iter().map(Cow::into_owned).collect());
            let slow = slow_csv(line).map(|all| all.into_iter().map(|field| field.0).collect());
            assert_eq!(fields, slow as Option<Vec<_>>);
        }
    }
}

#[test]
fn split_is_that_of_str() {
    let mut random = Random(7);
    let parts: [&[u8]; 8] = [
        b"-",
        b"--",
        b"a",
        b"7",
        "→".as_bytes(),
        "é".as_bytes(),
        b"1.5",
        b"true",
    ];
    for _ in 0..10_000 {
        let fields = random.fields();
        let lines: Vec<_> = (0..random.below(6))
            .map(|_| random.text(&parts, 7))
            .collect();
        let (block, spans) = block_of(&lines);
        let separator = random.pick(&["-", "--", "→", "a-"]);
        let split = Split {
            layout: Layout::of(fields),
            separator: separator.into(),
        };
        check_rows(
            &split.parse(&block, &spans),
            &lines,
            &split.layout,
            |line| {
                let line = str::from_utf8(line).unwrap();
                Some(
                    line.split(separator)
                        .map(|text| (text.as_bytes().to_vec(), false))
                        .collect(),
                )
            },
        );
    }
}

#[test]
fn numbers_in_csv_are_those_of_python() {
    let (block, spans) = block_of(&[
        " 7\t,inf,1",
        "+7,1e5,TRUE",
        "-007, -Infinity ,False",
        "\u{a0}1,nan,0",
        "\"12\",\"1.5\",\"true\"",
        "00000000000000000000000001,1.,true",
    ]);
    let fields = vec![
        field("i", Plain::Int, false),
        field("f", Plain::Float, false),
        field("b", Plain::Bool, false),
    ];
    let parsed = ParseCsv {
        layout: Layout::of(fields),
        delimiter: b',',
        quote: b'"',
    }
    .parse(&block, &spans);
    assert!(parsed.odd.is_empty(), "{:?}", parsed.odd);
    let ints: Vec<_> = (0..6).map(|row| parsed.columns[0].int(row)).collect();
    assert_eq!(ints, [7, 7, -7, 1, 12, 1]);
}

#[test]
fn bad_rows_of_csv_are_explained() {
    let fields = vec![
        field("name", Plain::Str, false),
        field("price", Plain::Float, true),
        field("count", Plain::Int, false),
    ];
    let csv = ParseCsv {
        layout: Layout::of(fields),
        delimiter: b';',
        quote: b'\'',
    };
    let long = "x".repeat(70);
    let cases = [
        ("", "expected 3 fields, got 1"),
        ("a;1", "expected 3 fields, got 2"),
        ("a;1;2;", "expected 3 fields, got 4"),
        ("a;b;c", "field `price`: expected `float`, got \"b\""),
        ("a;;c", "field `count`: expected `int`, got \"c\""),
        ("a;;", "field `count`: expected `int`, got \"\""),
        ("a;;'c''d'", "field `count`: expected `int`, got \"c''d\""),
        ("a;;1_0", "field `count`: expected `int`, got \"1_0\""),
        (
            "a;;9223372036854775808",
            "field `count`: expected `int` of 64 bits, got \"9223372036854775808\"",
        ),
        (
            "a;'1;2",
            "field `price`: expected a closing quote in the same row",
        ),
        (
            "'a'b;1;2",
            "field `name`: expected the delimiter behind the closing quote",
        ),
        (
            "a;1;2;'",
            "field 4: expected a closing quote in the same row",
        ),
        (
            &format!("a;;{long}"),
            &format!("field `count`: expected `int`, got {:?}...", &long[..60]),
        ),
    ];
    let (block, spans) = block_of(&cases.map(|(line, _)| line));
    let parsed = csv.parse(&block, &spans);
    assert_eq!(parsed.rows, 0);
    for (i, ((line, bad), (_, expected))) in parsed.odd.iter().zip(cases).enumerate() {
        assert_eq!((*line as usize, &*bad.why), (i, expected));
    }
    let what: Vec<_> = parsed.odd.iter().map(|(_, bad)| bad.what).collect();
    assert_eq!(what[..4], ["columns", "columns", "columns", "float"]);
    assert_eq!(what[8..], ["int", "quotes", "quotes", "quotes", "int"]);
    let (block, spans) = block_of(&[b"\xff;;1"]);
    let bad = &csv.parse(&block, &spans).odd[0].1;
    assert_eq!(bad.what, "str");
    assert_eq!(
        bad.why,
        "field `name`: expected `str` in UTF-8, got \"\u{fffd}\""
    );
}

#[test]
fn lines_of_csv_need_not_be_in_order() {
    let block = Arc::new(b"1,a\n2,b\n\xff".to_vec());
    let fields = vec![field("i", Plain::Int, false), field("s", Plain::Str, false)];
    let csv = ParseCsv {
        layout: Layout::of(fields),
        delimiter: b',',
        quote: b'"',
    };
    let parsed = csv.parse(&block, &[Span::new(4, 3), Span::new(0, 3)]);
    let text = |text: &[u8]| Value::Text(text.to_vec());
    assert_eq!(
        rows(&parsed),
        [[Value::Int(2), text(b"b")], [Value::Int(1), text(b"a")]]
    );
    assert_eq!(csv.parse(&block, &[]).rows, 0);
}

fn json_value(field: &FieldSpec, value: &serde_json::Value) -> Option<Value> {
    Some(match (field.kind, value) {
        (_, serde_json::Value::Null) if field.optional => Value::Null,
        (Plain::Str | Plain::Text, serde_json::Value::String(text)) => {
            Value::Text(text.clone().into())
        }
        (Plain::Int, value) => Value::Int(value.as_i64()?),
        (Plain::Float, value) => {
            let value = value.as_f64()?;
            float(if value == 0.0 && value.is_sign_negative() {
                None?
            } else {
                value
            })
        }
        (Plain::Bool, value) => Value::Bool(value.as_bool()?),
        _ => return None,
    })
}

#[test]
fn json_is_read_as_whole_documents() {
    let mut random = Random(8);
    let values: [&[u8]; 20] = [
        b"null",
        b"true",
        b"false",
        b"7",
        b"-1",
        b"1.5",
        b"-0",
        b"1e3",
        b"9223372036854775808",
        b"1e400",
        b"\"\"",
        b"\"text\"",
        b"\"a\\n\\u00e9\\ud83d\\ude00\"",
        b"\"\\ud800\"",
        "\"é\"".as_bytes(),
        b"[1, {\"a\": [\"\\t\"]}]",
        b"{}",
        b"01",
        b"\"\\x\"",
        b"\"\xff\"",
    ];
    let names = ["\"a\"", "\"b\"", "\"c\"", "\"\\u0064\"", "\"other\""];
    for _ in 0..20_000 {
        let fields = random.fields();
        let lines: Vec<Vec<u8>> = (0..random.below(8))
            .map(|_| {
                let mut line = b" {".to_vec();
                for (i, name) in names.iter().enumerate() {
                    let right: &[&[u8]] = match fields.get(i).map(|field| field.kind) {
                        Some(Plain::Int) => &values[3..5],
                        Some(Plain::Float) => &values[3..6],
                        Some(Plain::Bool) => &values[1..3],
                        _ => &values[10..13],
                    };
                    let value = match random.below(12) {
                        0 => random.pick(&values),
                        _ => random.pick(right),
                    };
                    line.extend_from_slice(if i > 0 { b", " } else { b"" });
                    line.extend_from_slice(name.as_bytes());
                    line.extend_from_slice(b": ");
                    line.extend_from_slice(value);
                }
                line.extend_from_slice(b"}\t");
                if random.below(10) == 0 {
                    let at = random.below(line.len());
                    line[at] = b"{}[]\",:\\0 \xff"[random.below(11)];
                }
                line
            })
            .collect();
        let (block, spans) = block_of(&lines);
        let (mut expected, mut odd) = (Vec::new(), Vec::new());
        for (i, line) in lines.iter().enumerate() {
            let row = serde_json::from_slice::<serde_json::Value>(line).ok();
            let row = row.and_then(|object| {
                let fields = fields.iter();
                fields
                    .map(|field| json_value(field, object.get(&field.name)?))
                    .collect()
            });
            match row {
                Some::<Vec<_>>(row) => expected.push(row),
                None => odd.push(i as u32),
            }
        }
        let parsed = ParseJson { fields }.parse(&block, &spans);
        assert_eq!(parsed.odd, odd);
        assert_eq!(rows(&parsed), expected);
    }
}

#[test]
fn json_that_is_not_plainly_right_is_odd() {
    let deep = |depth| {
        format!(
            "{{\"a\": 1, \"x\": {}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let lines = [
        "{\"a\": 1}",
        "{\"x\": 1, \"a\": 2}",
        "{\"a\": 1, \"a\": 3}",
        "{\"\\u0061\": 4}",
        &deep(100),
        "",
        "[]",
        "1",
        "{\"a\": 1",
        "{\"a\": 1}}",
        "{\"a\": 1,}",
        "{\"a\": 1.0}",
        "{\"a\": \"1\"}",
        "{\"a\": null}",
        "{\"b\": 1}",
        "{\"a\": \"x\", \"a\": 1}",
        "{\"a\": 1, \"x\": \"\\ud800\"}",
        "{\"a\": 1, \"x\": tru}",
        &deep(200),
        &deep(1_000_000),
        &"[".repeat(1_000_000),
        &"{\"x\":".repeat(1_000_000),
    ];
    let (block, spans) = block_of(&lines);
    let parsed = ParseJson {
        fields: vec![field("a", Plain::Int, false)],
    }
    .parse(&block, &spans);
    assert_eq!(rows(&parsed), [1, 2, 3, 4, 1].map(|int| [Value::Int(int)]));
    assert_eq!(parsed.odd, (5..lines.len() as u32).collect::<Vec<_>>());
}

/// Where rows end, byte by byte: the rest of a row is cut off its fields, one after the other.
fn slow_row_ends(text: &[u8]) -> Vec<u32> {
    #[derive(PartialEq)]
    enum At {
        FieldStart,
        Unquoted,
        Quoted,
        BehindQuote,
    }
    let mut at = At::FieldStart;
    let mut ends = Vec::new();
    for (i, &byte) in text.iter().enumerate() {
        at = match (at, byte) {
            (At::FieldStart | At::BehindQuote, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::BehindQuote,
            (At::Quoted, _) => At::Quoted,
            (_, b'\n') => {
                ends.push(i as u32);
                At::FieldStart
            }
            (_, b',') => At::FieldStart,
            _ => At::Unquoted,
        }
    }
    ends
}

#[test]
fn rows_end_where_no_quote_is_open() {
    let mut random = Random(8);
    let parts: [&[u8]; 8] = [
        b",",
        b"\"",
        b"\"\"",
        b"a",
        b"\n",
        b"\r\n",
        b" ",
        b"abcdefgh",
    ];
    for _ in 0..20_000 {
        let text = random.text(&parts, 60);
        let expected = slow_row_ends(&text);
        let mut quotes = Quotes::new(b',');
        let mut ends = Vec::new();
        let mut done = 0;
        while done < text.len() {
            let next = done + 1 + random.below(text.len() - done);
            match random.below(3) {
                0 => {
                    quotes.skip(&text, done..next, 7).unwrap();
                    let passed = expected.iter().copied();
                    ends.extend(passed.filter(|&end| (done..next).contains(&(end as usize))));
                    done = next;
                }
                1 => {
                    quotes.row_ends(&text, done..next, 7, &mut ends).unwrap();
                    done = next;
                }
                _ => {
                    let end = quotes.first_row_end(&text, done..next, 7).unwrap();
                    ends.extend(end);
                    done = end.map_or(next, |end| end as usize + 1);
                }
            }
        }
        assert_eq!(ends, expected, "{:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn a_quote_is_not_open_for_ever() {
    let mut text = vec![b'x'; (64 << 20) + 4];
    text[..3].copy_from_slice(b"a,\"");
    let last = text.len() - 2;
    let mut quotes = Quotes::new(b',');
    assert_eq!(quotes.skip(&text, 0..last, 5), Ok(()));
    assert_eq!(quotes.skip(&text, last..last + 1, 5), Err(Unclosed(7)));
    for (closing, expected) in [(last + 1, Err(Unclosed(7))), (last, Ok(()))] {
        text[closing] = b'"';
        assert_eq!(Quotes::new(b',').skip(&text, 0..last + 2, 5), expected);
        text[closing] = b'x';
    }
}
