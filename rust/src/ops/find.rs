//! Regular expressions, searched in linear time; matches follow each other as in Python's `re`.

use std::error::Error;
use std::ops::Range;

use regex_automata::meta::Regex;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, PatternID};
use regex_syntax::hir::{self, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look};

use super::runs::Class;
use super::template::Template;
use crate::columns::column::Span;

/// Where a group starts or ends, if it took part in the match.
type Slot = Option<NonMaxUsize>;

pub struct Finder {
    regex: Regex,
    groups: usize,
    runs: Option<Runs>,
}

impl Finder {
    /// The error is fit for users.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let hir = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
        if prefers_empty(&hir) {
            return Err(format!(
                "the pattern {pattern:?} may match nothing where it could match more: write x* for \
                 x*?, and a|b| for |a|b"
            ));
        }
        let regex = Regex::builder().build_from_hir(&hir).map_err(|error| {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            format!("the pattern {pattern:?} is too large: {reason}")
        })?;
        Ok(Self {
            regex,
            groups: hir.properties().explicit_captures_len(),
            runs: Runs::of(&hir),
        })
    }

    /// How many groups the pattern has.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// A replacement for matches of the pattern. The error is fit for users.
    pub fn template(&self, replacement: &str) -> Result<Template, String> {
        let groups = self.regex.group_info();
        Template::new(replacement, self.groups, |name| {
            groups.to_index(PatternID::ZERO, name)
        })
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// Appends the matches in a text, which is UTF-8. If the pattern has just one group, it appends
    /// where that stands instead, empty if it took no part.
    pub fn find_all(&self, data: &[u8], text: Span, out: &mut Vec<Span>) {
        if let Some(runs) = &self.runs {
            return runs.find(&runs.class, data, text, out);
        }
        let shown = usize::from(self.groups == 1);
        let mut slots = [None; 4];
        self.each_match(text.of(data), &mut slots[..2 * shown + 2], |slots| {
            let found = range(slots, shown);
            out.push(Span::new(text.start as usize + found.start, found.len()));
        });
    }

    pub fn find_all_in_lines(&self, data: &[u8], lines: &[Span], out: &mut Vec<Span>) {
        for &line in lines {
            self.find_all(data, line, out);
        }
    }

    /// Appends the matches in the lines of UTF-8, all searched at once; a '\r' belongs to its line.
    /// False, and no match, if the pattern must be searched line by line.
    pub fn find_all_in_block(&self, data: &[u8], out: &mut Vec<Span>) -> bool {
        self.runs.as_ref().is_some_and(|runs| {
            runs.find(&runs.in_lines, data, Span::new(0, data.len()), out);
            true
        })
    }

    /// Appends a text with its matches replaced, by a template of this Finder.
    pub fn replace_all(&self, text: &[u8], template: &Template, out: &mut Vec<u8>) {
        let mut done = 0;
        let mut slots = vec![None; 2 * template.groups];
        self.each_match(text, &mut slots, |slots| {
            let found = range(slots, 0);
            out.extend_from_slice(&text[done..found.start]);
            template.expand(out, |group| &text[range(slots, group)]);
            done = found.end;
        });
        out.extend_from_slice(&text[done..]);
    }

    fn each_match(&self, text: &[u8], slots: &mut [Slot], mut found: impl FnMut(&[Slot])) {
        if let Some(runs) = &self.runs {
            let mut spans = Vec::new();
            runs.find(&runs.class, text, Span::new(0, text.len()), &mut spans);
            for span in spans {
                let start = span.start as usize;
                for group in slots.chunks_mut(2) {
                    group[0] = NonMaxUsize::new(start);
                    group[1] = NonMaxUsize::new(start + span.len as usize);
                }
                found(slots);
            }
            return;
        }
        let mut input = Input::new(text);
        while self.regex.search_slots(&input, slots).is_some() {
            found(slots);
            // An empty match may follow a longer one at once, but not another empty one.
            let Range { start, end } = range(slots, 0);
            input.set_start(end.max(start + 1));
        }
    }
}

/// Where a group stands, empty if it took no part.
fn range(slots: &[Slot], group: usize) -> Range<usize> {
    let at = |slot: usize| slots[slot].map(NonMaxUsize::get);
    match (at(2 * group), at(2 * group + 1)) {
        (Some(start), Some(end)) => start..end,
        _ => at(0).map_or(0..0, |start| start..start),
    }
}

/// Whether a match may be empty where a longer one is possible, as for `x*?` and `|x`. Python
/// finds the longer one next, at the same place; a search in linear time cannot ask for it.
fn prefers_empty(hir: &Hir) -> bool {
    let may_be_empty = |hir: &Hir| hir.properties().minimum_len() == Some(0);
    let may_be_longer = |hir: &Hir| hir.properties().maximum_len() != Some(0);
    if !may_be_empty(hir) || !may_be_longer(hir) {
        return false;
    }
    match hir.kind() {
        HirKind::Repetition(repetition) => !repetition.greedy || prefers_empty(&repetition.sub),
        HirKind::Capture(capture) => prefers_empty(&capture.sub),
        HirKind::Concat(parts) => parts.iter().any(prefers_empty),
        HirKind::Alternation(branches) => {
            let first = branches.iter().position(may_be_empty);
            let after = first.map_or(&[][..], |first| &branches[first + 1..]);
            after.iter().any(may_be_longer) || branches.iter().any(prefers_empty)
        }
        _ => false,
    }
}

/// What `\w+`, `[^,]{2,}`, `(\d+)` and `\b\w+\b` search: as long as can be, so that all groups and
/// the whole match are the same.
struct Runs {
    class: Class,
    /// The class without '\n'.
    in_lines: Class,
    /// How many characters a run must have.
    least: usize,
}

impl Runs {
    fn of(hir: &Hir) -> Option<Self> {
        let (mut class, least) = run(hir)?;
        let whole = Class::new(&class);
        class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
        Some(Self {
            class: whole,
            in_lines: Class::new(&class),
            least,
        })
    }

    fn find(&self, class: &Class, data: &[u8], text: Span, out: &mut Vec<Span>) {
        let first = out.len();
        class.runs(data, text, out);
        if self.least > 1 {
            let begins = |byte: &&u8| **byte as i8 >= -0x40; // a character
            let last = |run: &Span| run.of(data).iter().filter(begins).nth(self.least - 1);
            out.extract_if(first.., |run| last(run).is_none())
                .for_each(drop);
        }
    }
}

/// The class and the least length of what can be found as `Runs`.
fn run(hir: &Hir) -> Option<(ClassUnicode, usize)> {
    match hir.kind() {
        HirKind::Capture(capture) => run(&capture.sub),
        HirKind::Repetition(repetition) => {
            let unbounded = repetition.greedy && repetition.max.is_none() && repetition.min > 0;
            let class = characters(&repetition.sub).filter(|_| unbounded)?;
            Some((class, repetition.min as usize))
        }
        HirKind::Concat(parts) => {
            // `\b` holds at both ends of a run of all word characters.
            let word = |part: &Hir| match part.kind() {
                HirKind::Look(Look::WordUnicode) => Some(r"\w"),
                HirKind::Look(Look::WordAscii) => Some("[0-9A-Za-z_]"),
                _ => None,
            };
            let mut others = parts.iter().filter(|part| word(part).is_none());
            let (class, least) = run(others.next().filter(|_| others.next().is_none())?)?;
            let is_word = |word| characters(&regex_syntax::parse(word).ok()?);
            let words = parts
                .iter()
                .filter_map(word)
                .all(|word| is_word(word).as_ref() == Some(&class));
            words.then_some((class, least))
        }
        _ => None,
    }
}

fn characters(hir: &Hir) -> Option<ClassUnicode> {
    match hir.kind() {
        HirKind::Class(hir::Class::Unicode(class)) => Some(class.clone()),
        HirKind::Class(hir::Class::Bytes(class)) => class.to_unicode_class(),
        HirKind::Literal(literal) => {
            let mut characters = str::from_utf8(&literal.0).ok()?.chars();
            let only = characters.next().filter(|_| characters.next().is_none())?;
            Some(ClassUnicode::new([ClassUnicodeRange::new(only, only)]))
        }
        _ => None,
    }
}
