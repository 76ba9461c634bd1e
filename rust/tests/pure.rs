//! Tests of the modules that need no Python: they are compiled here by themselves, so that
//! `cargo test` links without a Python library.

#[path = "../src/csv_field.rs"]
mod csv_field;
#[path = "../src/escape.rs"]
mod escape;
#[path = "../src/names.rs"]
mod names;
#[path = "../src/quote.rs"]
mod quote;

use escape::{escape, escape_at, escape_bytes, parse_int, unescape};

#[test]
fn escaped_text_comes_back() {
    for text in ["", "plain", "a\tb\\c\nd\re", "\\N", "é\u{10ffff}"] {
        let mut out = Vec::new();
        escape(text.as_bytes(), &mut out);
        assert!(!out.contains(&b'\t') && !out.contains(&b'\n'));
        assert_eq!(unescape(&out).unwrap(), text.as_bytes());
    }
}

#[test]
fn short_texts_are_escaped_alike_wherever_they_stand() {
    let data = b"plain\ttab\\slash\nline\rreturn, and then some more that is plain";
    for start in 0..data.len() {
        for len in 0..=(data.len() - start).min(20) {
            let (mut whole, mut part) = (Vec::new(), Vec::new());
            escape(&data[start..start + len], &mut whole);
            escape_at(data, start, len, &mut part);
            assert_eq!(whole, part);
        }
    }
}

#[test]
fn escaped_bytes_are_ascii_and_come_back() {
    let all: Vec<u8> = (0..=255).collect();
    let mut out = Vec::new();
    escape_bytes(&all, &mut out);
    assert!(out.is_ascii());
    assert_eq!(unescape(&out).unwrap(), all);
}

#[test]
fn bad_escapes_are_refused() {
    for bad in ["\\", "\\q", "\\x4", "\\xg0", "a\\N"] {
        assert!(unescape(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn only_plain_decimals_are_read_the_fast_way() {
    assert_eq!(
        parse_int(b"-999999999999999999"),
        Some(-999_999_999_999_999_999)
    );
    for slow in [&b""[..], b"-", b"+5", b"1_0", b"9223372036854775808"] {
        assert_eq!(parse_int(slow), None);
    }
}

#[test]
fn json_strings_are_escaped() {
    let mut out = Vec::new();
    quote::write_str("a\"\\\n\u{1}é".as_bytes(), &mut out);
    assert_eq!(out, "\"a\\\"\\\\\\n\\u0001é\"".as_bytes());
}

#[test]
fn base64_is_padded() {
    for (bytes, text) in [
        ("", "\"\""),
        ("f", "\"Zg==\""),
        ("fo", "\"Zm8=\""),
        ("foo", "\"Zm9v\""),
    ] {
        let mut out = Vec::new();
        quote::write_base64(bytes.as_bytes(), &mut out);
        assert_eq!(out, text.as_bytes());
    }
}

#[test]
fn shard_names_stay_in_the_folder() {
    for good in ["a", "adult/2020", "ü", "..a", "a.b"] {
        assert!(names::check_name(good).is_ok(), "{good}");
    }
    for bad in [
        "", "/a", "../a", "a/../b", "a//b", "a/.", "a\\b", "a\nb", "a/",
    ] {
        assert!(names::check_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn fields_of_csv_have_quotes_where_they_need_them() {
    for (text, field) in [
        ("", "\"\""),
        ("a b", "a b"),
        (" a", "\" a\""),
        ("a\t", "\"a\t\""),
        ("a,b", "\"a,b\""),
        ("a\nb", "\"a\nb\""),
        ("a\r", "\"a\r\""),
        ("\"", "\"\"\"\""),
        ("a\"b\"c", "\"a\"\"b\"\"c\""),
        ("é;'", "é;'"),
    ] {
        let mut out = Vec::new();
        csv_field::write_field(text.as_bytes(), &mut out);
        assert_eq!(out, field.as_bytes());
    }
}
