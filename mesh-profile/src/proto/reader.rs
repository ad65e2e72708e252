use super::{Error, token::Token};

/// The parts of a source that a profile is made of.
#[derive(Debug, Default)]
pub(super) struct File<'t> {
    pub(super) package: String,
    /// Of all services, in their order.
    pub(super) methods: Vec<Method<'t>>,
}

#[derive(Debug)]
pub(super) struct Method<'t> {
    pub(super) service: &'t str,
    pub(super) name: &'t str,
    pub(super) is_idempotent: bool,
}

/// Goes through the tokens of a source.
#[derive(Debug)]
pub(super) struct Reader<'r, 't> {
    tokens: &'r [(usize, Token<'t>)],
    end: usize,
}

impl<'r, 't> Reader<'r, 't> {
    /// `end` is the length of the source.
    pub(super) fn new(tokens: &'r [(usize, Token<'t>)], end: usize) -> Self {
        Self { tokens, end }
    }

    pub(super) fn file(mut self) -> Result<File<'t>, Error> {
        let mut file = File::default();
        while let Some(token) = self.peek() {
            match token {
                Token::Symbol(';') => self.skip(),
                Token::Word("package") => {
                    self.skip();
                    file.package = self.full_name()?;
                    self.symbol(';')?;
                }
                Token::Word("service") => {
                    self.skip();
                    self.service(&mut file.methods)?;
                }
                Token::Word(
                    "syntax" | "edition" | "import" | "option" | "message" | "enum" | "extend"
                    | "export" | "local",
                ) => self.declaration()?,
                other => return Err(self.begins_nothing(other)),
            }
        }
        Ok(file)
    }

    fn service(&mut self, methods: &mut Vec<Method<'t>>) -> Result<(), Error> {
        let service = self.name()?;
        self.symbol('{')?;
        while let Some(token) = self.peek() {
            match token {
                Token::Symbol('}') => {
                    self.skip();
                    return Ok(());
                }
                Token::Symbol(';') => self.skip(),
                Token::Word("rpc") => {
                    self.skip();
                    methods.push(self.method(service)?);
                }
                Token::Word("option" | "stream") => self.declaration()?,
                other => return Err(self.begins_nothing(other)),
            }
        }
        Err(self.ends("where a declaration or `}` is expected"))
    }

    fn method(&mut self, service: &'t str) -> Result<Method<'t>, Error> {
        let name = self.name()?;
        self.message()?;
        match self.peek() {
            Some(Token::Word("returns")) => self.skip(),
            other => return Err(self.expected("`returns`", other)),
        }
        self.message()?;
        let mut level = None;
        if self.peek() == Some(Token::Symbol('{')) {
            self.skip();
            loop {
                match self.peek() {
                    Some(Token::Symbol('}')) => break,
                    Some(Token::Symbol(';')) => {}
                    Some(Token::Word("option")) => {
                        level = level.or(self.idempotency_level());
                        self.declaration()?;
                        continue;
                    }
                    other => return Err(self.expected("an option or `}`", other)),
                }
                self.skip();
            }
            self.skip();
        } else {
            self.symbol(';')?;
        }
        Ok(Method {
            service,
            name,
            is_idempotent: matches!(level, Some("NO_SIDE_EFFECTS" | "IDEMPOTENT")),
        })
    }

    /// The value of the option that begins here, if it is the one. Parentheses around its name
    /// would make it another one; Linkerd does not mind them.
    fn idempotency_level(&self) -> Option<&'t str> {
        let mut tokens = self.tokens.iter().map(|(_, token)| *token);
        let mut tokens = tokens
            .by_ref()
            .skip(1)
            .filter(|token| !matches!(token, Token::Symbol('(' | ')')));
        let name = [tokens.next()?, tokens.next()?];
        match (name, tokens.next()?) {
            (
                [Token::Word("idempotency_level"), Token::Symbol('=')],
                Token::Word(level) | Token::Text(level),
            ) => Some(level),
            _ => None,
        }
    }

    /// `(stream a.B)`
    fn message(&mut self) -> Result<(), Error> {
        self.symbol('(')?;
        let is_stream = matches!(
            self.tokens,
            [
                (_, Token::Word("stream")),
                (_, Token::Word(_) | Token::Symbol('.')),
                ..
            ]
        );
        if is_stream {
            self.skip();
        }
        if self.peek() == Some(Token::Symbol('.')) {
            self.skip();
        }
        self.full_name()?;
        self.symbol(')')
    }

    /// Skips what ends at the next semicolon, or at the end of its braces.
    fn declaration(&mut self) -> Result<(), Error> {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Symbol('{') => depth += 1,
                Token::Symbol('}') if depth == 0 => {
                    return Err(self.error("`}` closes nothing".to_owned()));
                }
                Token::Symbol('}') => depth -= 1,
                _ => {}
            }
            self.skip();
            if depth == 0 && matches!(token, Token::Symbol(';' | '}')) {
                return Ok(());
            }
        }
        Err(self.ends("within a declaration"))
    }

    fn full_name(&mut self) -> Result<String, Error> {
        let mut name = self.name()?.to_owned();
        while self.peek() == Some(Token::Symbol('.')) {
            self.skip();
            name.push('.');
            name.push_str(self.name()?);
        }
        Ok(name)
    }

    fn name(&mut self) -> Result<&'t str, Error> {
        match self.peek() {
            Some(Token::Word(name)) if !name.starts_with(|c: char| c.is_ascii_digit()) => {
                self.skip();
                Ok(name)
            }
            other => Err(self.expected("a name", other)),
        }
    }

    fn symbol(&mut self, symbol: char) -> Result<(), Error> {
        match self.peek() {
            Some(Token::Symbol(found)) if found == symbol => {
                self.skip();
                Ok(())
            }
            other => Err(self.expected(&format!("`{symbol}`"), other)),
        }
    }

    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.first().map(|(_, token)| *token)
    }

    fn skip(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    fn begins_nothing(&self, found: Token<'_>) -> Error {
        self.error(format!("{} begins no declaration", shown(found)))
    }

    fn expected(&self, what: &str, found: Option<Token<'_>>) -> Error {
        match found {
            Some(found) => self.error(format!("{what} is expected, not {}", shown(found))),
            None => self.ends(&format!("where {what} is expected")),
        }
    }

    fn ends(&self, place: &str) -> Error {
        self.error(format!("the text ends {place}"))
    }

    /// An error at the next token.
    fn error(&self, message: String) -> Error {
        let offset = self.tokens.first().map_or(self.end, |(offset, _)| *offset);
        Error { offset, message }
    }
}

fn shown(token: Token<'_>) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Text(_) => "text in quotes".to_owned(),
        Token::Symbol(symbol) => format!("`{symbol}`"),
    }
}
