//! What replaces a match, written as for Python's `re.sub`.

enum Part {
    Text(Vec<u8>),
    Group(usize),
}

pub struct Template {
    parts: Vec<Part>,
    /// How many groups must be known to expand it; the first is the whole match.
    pub groups: usize,
}

impl Template {
    /// `index` tells the number of a named group, and `groups` how many the pattern has. The error
    /// is fit for users.
    pub fn new(
        replacement: &str,
        groups: usize,
        index: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, String> {
        let mut template = Self {
            parts: Vec::new(),
            groups: 1,
        };
        let mut pieces = replacement.split('\\');
        template.text(pieces.next().unwrap_or_default());
        while let Some(piece) = pieces.next() {
            let (escaped, rest) = match piece.chars().next() {
                // Two backslashes: the piece between them is empty.
                None => match pieces.next() {
                    Some(rest) => ("\\", rest),
                    None => return Err("a replacement cannot end in a single backslash".into()),
                },
                Some('n') => ("\n", &piece[1..]),
                Some('r') => ("\r", &piece[1..]),
                Some('t') => ("\t", &piece[1..]),
                _ => ("", template.group(piece, groups, &index)?),
            };
            template.text(escaped);
            template.text(rest);
        }
        Ok(template)
    }

    /// Reads a group of which the backslash has been read; returns the text after it.
    fn group<'a>(
        &mut self,
        piece: &'a str,
        groups: usize,
        index: impl Fn(&str) -> Option<usize>,
    ) -> Result<&'a str, String> {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let octal = piece
            .bytes()
            .take_while(|b| matches!(b, b'0'..=b'7'))
            .count();
        let (name, rest) = if digits > 0 && octal < 3 && !piece.starts_with('0') {
            piece.split_at(digits.min(2))
        } else if let Some(named) = piece.strip_prefix("g<").and_then(|s| s.split_once('>')) {
            named
        } else {
            let shown: String = piece.chars().take(3).collect();
            return Err(format!(
                "a replacement cannot have \\{shown}: write \\\\ for a backslash, \\1 or \\g<name> for a \
                 group, \\n, \\r or \\t"
            ));
        };
        let number = match name.bytes().all(|b| b.is_ascii_digit()) {
            true => name.parse().ok().filter(|&number| number <= groups),
            false => index(name),
        };
        match number {
            Some(number) => {
                self.parts.push(Part::Group(number));
                self.groups = self.groups.max(number + 1);
                Ok(rest)
            }
            None => Err(format!(
                "the replacement names the group {name:?}, which the pattern does not have"
            )),
        }
    }

    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.extend_from_slice(text.as_bytes()),
            _ => self.parts.push(Part::Text(text.into())),
        }
    }

    /// Appends the replacement of a match with these groups.
    pub fn expand<'a>(&self, out: &mut Vec<u8>, group: impl Fn(usize) -> &'a [u8]) {
        for part in &self.parts {
            out.extend_from_slice(match part {
                Part::Text(text) => text,
                Part::Group(number) => group(*number),
            });
        }
    }
}
