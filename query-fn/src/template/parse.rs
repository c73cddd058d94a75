//! Template tokens to a tree. Source of the grammar and error texts: Go text/template/parse.

use super::TemplateError;
use super::functions::is_function;
use super::lex::{Token, TokenKind, lex};
use super::value::{Value, parse_number};

/// Actions nested deeper than this are refused, since parsing and evaluation recurse.
const MAX_NESTING: usize = 100;

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// `{{pipeline}}`; a pipeline that declares or assigns prints nothing.
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// A conditional or loop.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands joined by `|`, with the variables that take the result.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// `$a` or `$i, $a`
    pub(super) variables: Vec<String>,
    /// `=` instead of `:=`
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or value and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
    /// Where it stands and how it reads, for error texts.
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

/// An argument.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Dot,
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a`
    Variable(String, Vec<String>),
    Function(String),
    Constant(Value),
    Nil,
    /// `(pipeline).a`
    Paren(Box<Pipeline>, Vec<String>),
}

/// How a list of nodes ended.
enum Closed {
    Never,
    End,
    Else,
}

struct Parser {
    name: &'static str,
    tokens: Vec<Token>,
    at: usize,
    line: usize,
    depth: usize,
    loops: usize,
    variables: Vec<String>,
}

/// Parses a whole template.
pub(super) fn parse(name: &'static str, text: &str) -> Result<Vec<Node>, TemplateError> {
    let tokens = lex(name, text)?;
    let mut parser = Parser { name, tokens, at: 0, line: 1, depth: 0, loops: 0, variables: vec![String::new()] };
    let (nodes, end) = parser.list()?;
    match end {
        Closed::Never => Ok(nodes),
        Closed::End => parser.fail("unexpected {{end}}"),
        Closed::Else => parser.fail("unexpected {{else}}"),
    }
}

impl Parser {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError { name: self.name, line: self.line, message: message.into() })
    }

    fn next(&mut self) -> Option<TokenKind> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        self.line = token.line;
        Some(token.kind)
    }

    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn skip_space(&mut self) {
        while self.peek() == Some(&TokenKind::Space) {
            self.at += 1;
        }
    }

    fn peek_keyword(&self) -> Option<&str> {
        match self.peek() {
            Some(TokenKind::Identifier(name)) => Some(name),
            _ => None,
        }
    }

    /// Nodes up to the end of the template, an `end` or an `else`.
    fn list(&mut self) -> Result<(Vec<Node>, Closed), TemplateError> {
        let mut nodes = Vec::new();
        loop {
            match self.next() {
                None => return Ok((nodes, Closed::Never)),
                Some(TokenKind::Text(text)) => nodes.push(Node::Text(text)),
                Some(_) => {
                    self.skip_space();
                    match self.peek_keyword() {
                        Some("end") => {
                            self.next();
                            self.close("end")?;
                            return Ok((nodes, Closed::End));
                        }
                        Some("else") => {
                            self.next();
                            return Ok((nodes, Closed::Else));
                        }
                        Some("break" | "continue") => nodes.push(self.jump()?),
                        Some("if" | "with" | "range") => nodes.push(self.branch()?),
                        Some(keyword @ ("define" | "template" | "block")) => {
                            let message = format!("{{{{{keyword}}}}} is not available in a query");
                            return self.fail(message);
                        }
                        _ => {
                            let pipeline = self.pipeline("command", false)?;
                            nodes.push(Node::Action(pipeline));
                        }
                    }
                }
            }
        }
    }

    fn close(&mut self, context: &str) -> Result<(), TemplateError> {
        self.skip_space();
        match self.next() {
            Some(TokenKind::Close) => Ok(()),
            other => self.unexpected(other.as_ref(), context),
        }
    }

    fn unexpected<T>(&self, token: Option<&TokenKind>, context: &str) -> Result<T, TemplateError> {
        let shown = match token {
            None => "EOF".to_owned(),
            Some(TokenKind::Close) => "\"}}\"".to_owned(),
            Some(TokenKind::Identifier(name)) => format!("<{name}>"),
            Some(TokenKind::Field(name)) => format!("<.{name}>"),
            Some(TokenKind::Variable(name)) => format!("\"${name}\""),
            Some(TokenKind::Quoted(text)) => format!("{:?}", schema::quote::quote(text)),
            Some(TokenKind::Number(text)) => format!("\"{text}\""),
            Some(TokenKind::Pipe) => "\"|\"".to_owned(),
            Some(TokenKind::LeftParen) => "\"(\"".to_owned(),
            Some(TokenKind::RightParen) => "\")\"".to_owned(),
            Some(TokenKind::Comma) => "\",\"".to_owned(),
            Some(TokenKind::Declare) => "\":=\"".to_owned(),
            Some(TokenKind::Assign) => "\"=\"".to_owned(),
            Some(TokenKind::Dot) => "<.>".to_owned(),
            Some(_) => "\" \"".to_owned(),
        };
        self.fail(format!("unexpected {shown} in {context}"))
    }

    fn jump(&mut self) -> Result<Node, TemplateError> {
        let keyword = self.peek_keyword().unwrap_or("").to_owned();
        if self.loops == 0 {
            return self.fail(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
        }
        self.next();
        self.close(&keyword)?;
        Ok(if keyword == "break" { Node::Break } else { Node::Continue })
    }

    fn branch(&mut self) -> Result<Node, TemplateError> {
        let keyword = self.peek_keyword().unwrap_or("").to_owned();
        self.next();
        self.branch_of(&keyword)
    }

    /// A branch whose keyword was read.
    fn branch_of(&mut self, keyword: &str) -> Result<Node, TemplateError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return self.fail(format!("actions are nested deeper than {MAX_NESTING} levels"));
        }
        let known = self.variables.len();
        let pipeline = self.pipeline(keyword, keyword == "range")?;
        self.loops += usize::from(keyword == "range");
        let (body, end) = self.list()?;
        self.loops -= usize::from(keyword == "range");
        let otherwise = match end {
            Closed::End => Vec::new(),
            Closed::Never => return self.fail("unexpected EOF"),
            Closed::Else => self.otherwise(keyword)?,
        };
        self.variables.truncate(known);
        self.depth -= 1;
        let branch = Branch { pipeline, body, otherwise };
        Ok(match keyword {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    /// What follows an `else`: nodes up to `end`, or `else if` and `else with`, which share the outer `end`.
    fn otherwise(&mut self, keyword: &str) -> Result<Vec<Node>, TemplateError> {
        self.skip_space();
        if let Some(inner) = self.peek_keyword().map(str::to_owned)
            && matches!((keyword, inner.as_str()), ("if", "if") | ("with", "with"))
        {
            self.next();
            return Ok(vec![self.branch_of(&inner)?]);
        }
        self.close("else")?;
        match self.list()? {
            (nodes, Closed::End) => Ok(nodes),
            (_, Closed::Else) => self.fail("expected end; found {{else}}"),
            (_, Closed::Never) => self.fail("unexpected EOF"),
        }
    }

    /// Everything up to the closing delimiter, or the closing parenthesis of a nested pipeline.
    fn pipeline(&mut self, context: &str, is_range: bool) -> Result<Pipeline, TemplateError> {
        self.skip_space();
        let (variables, assigns) = self.declarations(is_range)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(TokenKind::Close | TokenKind::RightParen) => {
                    self.next();
                    break;
                }
                Some(TokenKind::Pipe | TokenKind::Comma | TokenKind::Declare | TokenKind::Assign) | None => {
                    let token = self.next();
                    return self.unexpected(token.as_ref(), context);
                }
                Some(_) => commands.push(self.command(context)?),
            }
        }
        if commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (stage, command) in commands.iter().enumerate().skip(1) {
            if matches!(command.operands.first(), Some(Operand::Constant(_) | Operand::Dot | Operand::Nil)) {
                return self.fail(format!("non executable command in pipeline stage {}", stage + 1));
            }
        }
        for variable in variables.iter().filter(|_| !assigns) {
            self.variables.push(variable.clone());
        }
        Ok(Pipeline { variables, assigns, commands })
    }

    /// `$a :=`, `$a =`, `$i, $a :=` at the front of a pipeline.
    fn declarations(&mut self, is_range: bool) -> Result<(Vec<String>, bool), TemplateError> {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(TokenKind::Variable(name)) = self.peek().cloned() {
            self.next();
            self.skip_space();
            names.push(name);
            match self.peek() {
                Some(TokenKind::Declare | TokenKind::Assign) => {
                    let assigns = self.next() == Some(TokenKind::Assign);
                    if let Some(unknown) = names.iter().find(|name| assigns && !self.variables.contains(name)) {
                        return self.fail(format!("undefined variable \"${unknown}\""));
                    }
                    return Ok((names, assigns));
                }
                Some(TokenKind::Comma) if is_range && names.len() < 2 => {
                    self.next();
                    self.skip_space();
                }
                Some(TokenKind::Comma) => return self.fail("too many declarations in command"),
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, context: &str) -> Result<Command, TemplateError> {
        let mut operands = Vec::new();
        let start = self.at;
        let (line, column) = self.tokens.get(start).map_or((self.line, 0), |token| (token.line, token.column));
        let mut end = start;
        loop {
            self.skip_space();
            match self.peek() {
                Some(TokenKind::Close | TokenKind::RightParen) => break,
                Some(TokenKind::Pipe) => {
                    self.next();
                    self.skip_space();
                    if matches!(self.peek(), Some(TokenKind::Close | TokenKind::RightParen) | None) {
                        return self.fail(format!("missing value for {context}"));
                    }
                    break;
                }
                _ => {}
            }
            operands.push(self.operand(context)?);
            end = self.at;
            match self.peek() {
                Some(TokenKind::Space | TokenKind::Close | TokenKind::RightParen | TokenKind::Pipe) => {}
                other => {
                    let other = other.cloned();
                    return self.unexpected(other.as_ref(), "operand");
                }
            }
        }
        if operands.is_empty() {
            return self.fail("empty command");
        }
        let text = source_text(self.tokens.get(start..end).unwrap_or(&[]));
        Ok(Command { operands, line, column, text })
    }

    fn operand(&mut self, context: &str) -> Result<Operand, TemplateError> {
        let operand = match self.next() {
            Some(TokenKind::Dot) => Operand::Dot,
            Some(TokenKind::Field(name)) => Operand::Field(vec![name]),
            Some(TokenKind::Variable(name)) => {
                if !self.variables.contains(&name) {
                    return self.fail(format!("undefined variable \"${name}\""));
                }
                Operand::Variable(name, Vec::new())
            }
            Some(TokenKind::Identifier(name)) => match name.as_str() {
                "true" => Operand::Constant(Value::Bool(true)),
                "false" => Operand::Constant(Value::Bool(false)),
                "nil" => Operand::Nil,
                _ if is_function(&name) => Operand::Function(name),
                _ => return self.fail(format!("function \"{name}\" not defined")),
            },
            Some(TokenKind::Quoted(text)) => Operand::Constant(Value::Text(text)),
            Some(TokenKind::Char(c)) => Operand::Constant(Value::Int(i64::from(u32::from(c)))),
            Some(TokenKind::Number(text)) => match parse_number(&text) {
                Some(number) => Operand::Constant(number),
                None => return self.fail(format!("illegal number syntax: \"{text}\"")),
            },
            Some(TokenKind::LeftParen) => {
                self.depth += 1;
                if self.depth > MAX_NESTING {
                    return self.fail(format!("actions are nested deeper than {MAX_NESTING} levels"));
                }
                let inner = self.pipeline("parenthesized pipeline", false)?;
                self.depth -= 1;
                Operand::Paren(Box::new(inner), Vec::new())
            }
            other => return self.unexpected(other.as_ref(), context),
        };
        self.chain(operand)
    }

    /// `.a.b` glued to an operand.
    fn chain(&mut self, operand: Operand) -> Result<Operand, TemplateError> {
        let mut path = Vec::new();
        while let Some(TokenKind::Field(name)) = self.peek().cloned() {
            self.next();
            path.push(name);
        }
        if path.is_empty() {
            return Ok(operand);
        }
        match operand {
            Operand::Field(mut names) => {
                names.extend(path);
                Ok(Operand::Field(names))
            }
            Operand::Variable(name, _) => Ok(Operand::Variable(name, path)),
            Operand::Paren(inner, _) => Ok(Operand::Paren(inner, path)),
            Operand::Function(_) => {
                let command = Command { operands: vec![operand], line: self.line, column: 0, text: String::new() };
                Ok(Operand::Paren(Box::new(Pipeline { variables: Vec::new(), assigns: false, commands: vec![command] }), path))
            }
            _ => self.fail(format!("unexpected . after term \"{}\"", path.first().map_or("", String::as_str))),
        }
    }
}

fn source_text(tokens: &[Token]) -> String {
    tokens
        .iter()
        .map(|token| match &token.kind {
            TokenKind::Space => " ".to_owned(),
            TokenKind::Field(name) => format!(".{name}"),
            TokenKind::Dot => ".".to_owned(),
            TokenKind::Variable(name) => format!("${name}"),
            TokenKind::Identifier(name) => name.clone(),
            TokenKind::Quoted(text) => schema::quote::quote(text),
            TokenKind::Char(c) => format!("'{c}'"),
            TokenKind::Number(text) => text.clone(),
            TokenKind::Pipe => "|".to_owned(),
            TokenKind::LeftParen => "(".to_owned(),
            TokenKind::RightParen => ")".to_owned(),
            TokenKind::Comma => ",".to_owned(),
            TokenKind::Declare => ":=".to_owned(),
            TokenKind::Assign => "=".to_owned(),
            TokenKind::Text(_) | TokenKind::Open | TokenKind::Close => String::new(),
        })
        .collect()
}

/// Every label that `.name` reads, whatever `.` is there.
pub(super) fn field_names(nodes: &[Node], names: &mut Vec<String>) {
    visit(nodes, &mut |operand| {
        if let Operand::Field(path) | Operand::Variable(_, path) = operand {
            names.extend(path.first().cloned());
        }
    });
}

/// Whether one of these functions is called anywhere.
pub(super) fn calls_any(nodes: &[Node], functions: &[&str]) -> bool {
    let mut found = false;
    visit(nodes, &mut |operand| found |= matches!(operand, Operand::Function(name) if functions.contains(&name.as_str())));
    found
}

/// The label of a template that is just `{{.label}}`.
pub(super) fn single_field(nodes: &[Node]) -> Option<&str> {
    let [Node::Action(pipeline)] = nodes else { return None };
    let [command] = pipeline.commands.as_slice() else { return None };
    match command.operands.as_slice() {
        [Operand::Field(path)] if pipeline.variables.is_empty() => match path.as_slice() {
            [name] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn visit(nodes: &[Node], see: &mut dyn FnMut(&Operand)) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action(pipeline) => visit_pipeline(pipeline, see),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                visit_pipeline(&branch.pipeline, see);
                visit(&branch.body, see);
                visit(&branch.otherwise, see);
            }
        }
    }
}

fn visit_pipeline(pipeline: &Pipeline, see: &mut dyn FnMut(&Operand)) {
    for operand in pipeline.commands.iter().flat_map(|command| &command.operands) {
        see(operand);
        if let Operand::Paren(inner, _) = operand {
            visit_pipeline(inner, see);
        }
    }
}
