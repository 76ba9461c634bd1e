//! Tests of splitting and searching texts, against slower ways that are plainly right.
#![allow(dead_code)]

#[path = "../src/columns"]
mod columns {
    pub mod column;
}
#[path = "../src/ops"]
mod ops {
    pub mod find;
    pub mod runs;
    pub mod template;
    pub mod words;
}

use columns::column::Span;
use ops::find::Finder;
use ops::runs::Class;
use ops::words::{split_on, split_space};
use regex_automata::meta::Regex;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

const SPACES: &str = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \u{85}\u{a0}\u{1680}\u{2000}\u{2005}\u{200a}\
                      \u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
/// Neighbours of white space, and characters of all lengths.
const OTHERS: &str = "aZ_09,;-\0\x08\x0e\x1b!\x7f\u{80}\u{84}\u{86}\u{a1}éß×²жЯ҂\u{301}\u{167f}\u{1fff}\
                      \u{200b}\u{2027}\u{202a}\u{2060}—…あ漢힣\u{ffff}🦀𝒳\u{10ffff}";

/// xorshift
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    /// Up to 300 characters, mostly letters or mostly anything; every so often a long word.
    fn text(&mut self) -> String {
        let (spaces, others): (Vec<_>, Vec<_>) =
            (SPACES.chars().collect(), OTHERS.chars().collect());
        let (plain, gaps) = (self.below(3), 1 + self.below(20));
        let mut text = String::new();
        for _ in 0..self.below(300) {
            text.push(match (self.below(gaps), self.below(3)) {
                (0, _) => spaces[self.below(spaces.len())],
                (_, choice) if choice < plain => char::from(b'a' + self.below(26) as u8),
                _ => others[self.below(others.len())],
            });
        }
        text
    }
}

fn strings<'a>(text: &'a str, spans: &[Span]) -> Vec<&'a str> {
    let string = |span: &Span| &text[span.start as usize..][..span.len as usize];
    spans.iter().map(string).collect()
}

fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    split_space(text.as_bytes(), &mut out);
    strings(text, &out)
}

fn words_slowly(text: &str) -> Vec<&str> {
    let pieces = text.split(|c| SPACES.contains(c) || ('\u{2000}'..='\u{200a}').contains(&c));
    pieces.filter(|piece| !piece.is_empty()).collect()
}

fn found<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
    let mut out = Vec::new();
    let finder = Finder::new(pattern).unwrap();
    finder.find_all(text.as_bytes(), Span::new(0, text.len()), &mut out);
    strings(text, &out)
}

fn replaced(pattern: &str, replacement: &str, text: &str) -> String {
    let finder = Finder::new(pattern).unwrap();
    let template = finder.template(replacement).unwrap();
    let mut out = b">".to_vec();
    finder.replace_all(text.as_bytes(), &template, &mut out);
    String::from_utf8(out).unwrap()[1..].to_string()
}

#[test]
fn words_are_those_of_python() {
    assert_eq!(words(""), [""; 0]);
    assert_eq!(words(" \u{3000}\n"), [""; 0]);
    assert_eq!(
        words("  the\tquick\u{2009}\u{85}fox\x1cé "),
        ["the", "quick", "fox", "é"]
    );
    let mut random = Random(1);
    for _ in 0..3000 {
        let text = random.text();
        assert_eq!(words(&text), words_slowly(&text), "{text:?}");
    }
}

#[test]
fn every_character_splits_or_not_wherever_it_stands() {
    for c in ('\0'..'\u{3100}').chain(OTHERS.chars()) {
        let text = format!("a{c}b");
        assert_eq!(words(&text), words_slowly(&text), "{text:?}");
    }
    for c in SPACES.chars().chain(OTHERS.chars()) {
        for before in 50..140 {
            for (filler, many) in [("a", 1), ("é", 1), ("a", 30), (" ", 2)] {
                let c = c.to_string().repeat(many);
                let text = format!("{}{c}b {c}", filler.repeat(before));
                assert_eq!(words(&text), words_slowly(&text), "{text:?}");
            }
        }
    }
}

#[test]
fn pieces_are_those_of_python() {
    for (text, separator) in [
        ("", ","),
        (",", ","),
        ("a,,b,", ","),
        ("one", ", "),
        ("a, b,  c, ", ", "),
        ("aaaa", "aa"),
        ("é—é", "—"),
    ] {
        let data = format!(",{text}, ");
        let mut out = Vec::new();
        split_on(
            data.as_bytes(),
            Span::new(1, text.len()),
            separator.as_bytes(),
            &mut out,
        );
        assert_eq!(
            strings(&data, &out),
            text.split(separator).collect::<Vec<_>>()
        );
    }
}

/// Patterns that are searched as runs, and others.
const RUNS: [&str; 19] = [
    r"\w+",
    r"\W+",
    r"\d+",
    r"\s+",
    r"\S+",
    r"(\w+)",
    r"\b\w+\b",
    r"\b(\w{3,})",
    r"[a-z]+",
    "(?i)[k-z]+",
    r"(?-u)\w+",
    r"(?-u:\b\w{2,}\b)",
    "[^,;]+",
    "[^,\n]{2,}",
    "[а-яё]+",
    r"\p{Han}+",
    " +",
    "(?:é)+",
    ".+",
];
const OTHER: [&str; 10] = [
    r"\w+?",
    r"\w*",
    r"\d{1,3}",
    r"(\w)+",
    r"\b[a-z]+\b",
    r"(?-u:\b)\w+",
    r"\w+\s",
    "a+|b+",
    "",
    r"[a-z]\b[a-z]+",
];

#[test]
fn runs_are_what_the_regex_finds() {
    let mut random = Random(2);
    for pattern in RUNS {
        let finder = Finder::new(pattern).unwrap();
        let regex = Regex::new(pattern).unwrap();
        let slowly = |text: &str, from: usize| -> Vec<Span> {
            let spans = regex.find_iter(text);
            spans
                .map(|m| Span::new(from + m.start(), m.len()))
                .collect()
        };
        for _ in 0..300 {
            let (before, text, after) = (random.text(), random.text(), random.text());
            let data = format!("{before}{text}{after}");
            let span = Span::new(before.len(), text.len());
            let mut out = vec![Span::default()];
            finder.find_all(data.as_bytes(), span, &mut out);
            assert_eq!(out[1..], slowly(&text, before.len()), "{pattern} {text:?}");

            let (mut lines, mut expected, mut from) = (Vec::new(), Vec::new(), 0);
            for line in data.split('\n') {
                lines.push(Span::new(from, line.len()));
                expected.extend(slowly(line, from));
                from += line.len() + 1;
            }
            let (mut block, mut each) = (Vec::new(), Vec::new());
            assert!(finder.find_all_in_block(data.as_bytes(), &mut block));
            finder.find_all_in_lines(data.as_bytes(), &lines, &mut each);
            assert_eq!(block, expected, "{pattern} {data:?}");
            assert_eq!(each, expected, "{pattern} {data:?}");
        }
    }
    for pattern in OTHER {
        let finder = Finder::new(pattern).unwrap();
        assert!(
            !finder.find_all_in_block(b"no", &mut Vec::new()),
            "{pattern}"
        );
    }
}

#[test]
fn runs_are_alike_on_any_processor() {
    let mut random = Random(3);
    for _ in 0..200 {
        let limits = [0x80, 0x800, 0xd800, 0x11_0000];
        let mut ends = || {
            let limit = limits[random.below(4)];
            let code = random.below(limit);
            char::from_u32(code as u32).unwrap_or('é')
        };
        let (a, b) = (ends(), ends());
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(a.min(b), a.max(b))]);
        if random.below(2) == 0 {
            class.negate();
        }
        let class = Class::new(&class);
        for _ in 0..10 {
            let text = random.text();
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            class.runs(text.as_bytes(), Span::new(0, text.len()), &mut fast);
            class.runs_anywhere(text.as_bytes(), Span::new(0, text.len()), &mut slow);
            assert_eq!(fast, slow, "{a:?} {b:?} {text:?}");
        }
    }
}

#[test]
fn matches_are_those_of_python() {
    for (pattern, text, expected) in [
        ("x*", "axb", &["", "x", "", ""][..]),
        ("x*", "é🦀", &["", "", ""]),
        ("", "ab", &["", "", ""]),
        ("a|ab", "abab", &["a", "a"]),
        ("a*?b", "aab b", &["aab", "b"]),
        ("(a)(?:b)?", "ab a", &["a", "a"]),
        ("(a)|b", "ab", &["a", ""]),
        ("(a*)b", "aabb", &["aa", ""]),
        ("([a-z]+)@[a-z]+", "joe@x ann@y", &["joe", "ann"]),
        ("^a", "aa", &["a"]),
        ("(?m)^.", "ab\ncd", &["a", "c"]),
        (r"\bb", "b ab", &["b"]),
        ("^|$", "ab", &["", ""]),
    ] {
        assert_eq!(found(pattern, text), expected, "{pattern}");
    }
    // The text begins and ends where its span does.
    let mut out = Vec::new();
    let finder = Finder::new(r"^a\b|a$").unwrap();
    finder.find_all(b"aaaa", Span::new(1, 2), &mut out);
    assert_eq!(out, [Span::new(2, 1)]);
}

#[test]
fn patterns_that_cannot_be_searched_are_refused() {
    for (pattern, reason) in [
        ("(a", "unclosed group"),
        ("a(?=b)", "look-around"),
        (r"(a)\1", "backreferences"),
        (r"\w{999}{999}", "too large"),
        ("x*?", "x* for x*?"),
        ("|x", "a|b|"),
        ("(?:^|,)?(?:a??)", "match nothing"),
    ] {
        let error = Finder::new(pattern).err().unwrap();
        assert!(error.contains(reason), "{error}");
    }
    for pattern in [
        "x+?",
        "a.*?b",
        "(?:a*?b)?",
        "x|",
        "(?:^|,)x",
        r"\b|\B",
        "a?b?",
    ] {
        assert!(Finder::new(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn groups_are_counted_and_matches_noticed() {
    assert_eq!(Finder::new(r"a(?:b)").unwrap().groups(), 0);
    assert_eq!(Finder::new(r"(?<x>\w+)").unwrap().groups(), 1);
    let finder = Finder::new(r"(a)|(b\d)").unwrap();
    assert_eq!(finder.groups(), 2);
    assert!(finder.is_match(b"xb1") && !finder.is_match(b"xb"));
}

#[test]
fn replacements_are_those_of_python() {
    for (pattern, replacement, text, expected) in [
        ("x*", "-", "abxd", "-a-b--d-"),
        (r"\s+", " ", " a \t\u{3000}b\n", " a b "),
        (r"(\w+)", r"<\1\g<0>>", "é, b", "<éé>, <bb>"),
        (
            r"(?P<a>\d)(\w)?",
            r"\2\g<a>\g<1>\\\n",
            "1x 2",
            "x11\\\n 22\\\n",
        ),
        ("(.)", r"\11", "x", r"refused"),
        ("(.)", r"\g<1>1\t\r", "x", "x1\t\r"),
        ("a", "", "banana", "bnn"),
        ("a", "é", "", ""),
        (
            "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)",
            r"\101",
            "abcdefghij",
            "refused",
        ),
        (
            "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)",
            r"\10\9",
            "abcdefghij",
            "ji",
        ),
        (
            "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)",
            r"\108",
            "abcdefghij",
            "j8",
        ),
    ] {
        if expected == "refused" {
            assert!(Finder::new(pattern).unwrap().template(replacement).is_err());
        } else {
            assert_eq!(replaced(pattern, replacement, text), expected, "{pattern}");
        }
    }
}

#[test]
fn bad_replacements_are_refused() {
    let finder = Finder::new("(?P<a>x)").unwrap();
    for (replacement, reason) in [
        ("\\", "single backslash"),
        (r"a\\\", "single backslash"),
        (r"\q", r"cannot have \q"),
        (r"\0", r"cannot have \0"),
        (r"\123", r"cannot have \123"),
        (r"\g", r"cannot have \g"),
        (r"\g<a", r"cannot have \g<a"),
        (r"\2", "the group \"2\""),
        (r"\g<b>", "the group \"b\""),
        (r"\g<+1>", "the group \"+1\""),
    ] {
        let error = finder.template(replacement).err().unwrap();
        assert!(error.contains(reason), "{error}");
    }
}
