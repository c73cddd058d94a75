//! Runs a template tree on one row. Source of the rules and error texts: Go text/template `exec.go`.

use std::collections::BTreeMap;

use super::parse::{Branch, Command, Node, Operand, Pipeline};
use super::value::Value;
use super::{Fields, functions};

/// Nodes and commands that one evaluation may run, so that nested ranges end.
const MAX_STEPS: usize = 1_000_000;
/// Longest output of one evaluation in bytes.
const MAX_OUTPUT_BYTES: usize = 4 << 20;
/// Bytes of values that one evaluation may copy or make, so that neither a long argument list nor a loop over long texts
/// takes more memory or time than this.
const MAX_VALUE_BYTES: usize = 64 << 20;
/// What compiling a regular expression counts for: about as long as copying so much.
const REGEX_BYTES: usize = 256 << 10;

/// What `.` is.
#[derive(Clone, Debug)]
enum Dot {
    /// The row's labels.
    Labels,
    Value(Value),
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Machine<'a> {
    name: &'static str,
    fields: &'a dyn Fields,
    variables: Vec<(String, Dot)>,
    steps: usize,
    /// Bytes of values copied or made so far.
    bytes: usize,
}

/// Appends the output for one row.
pub(super) fn render(name: &'static str, nodes: &[Node], fields: &dyn Fields, out: &mut String) -> Result<(), String> {
    let mut machine = Machine { name, fields, variables: vec![(String::new(), Dot::Labels)], steps: 0, bytes: 0 };
    let limit = out.len() + MAX_OUTPUT_BYTES;
    machine.list(nodes, &Dot::Labels, out, limit).map(|_| ())
}

impl Machine<'_> {
    /// An error at a command: Go shows at most 20 bytes of what it was doing.
    fn error<T>(&self, command: &Command, message: &str) -> Result<T, String> {
        let shown: String = if command.text.len() > 20 { format!("{}...", command.text.chars().take(20).collect::<String>()) } else { command.text.clone() };
        Err(format!("template: {}:{}:{}: executing \"{}\" at <{shown}>: {message}", self.name, command.line, command.column, self.name))
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(self.over_limit()) } else { Ok(()) }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_VALUE_BYTES { Err(self.over_limit()) } else { Ok(()) }
    }

    fn over_limit(&self) -> String {
        format!(
            "template: {}: executing \"{}\": exceeded the limit of {MAX_STEPS} steps, {MAX_OUTPUT_BYTES} bytes of output or {MAX_VALUE_BYTES} bytes of values",
            self.name, self.name
        )
    }

    fn list(&mut self, nodes: &[Node], dot: &Dot, out: &mut String, limit: usize) -> Result<Flow, String> {
        for node in nodes {
            self.step()?;
            if out.len() > limit {
                return Err(self.over_limit());
            }
            let flow = match node {
                Node::Text(text) => {
                    out.push_str(text);
                    Flow::Next
                }
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.materialise(value)?.print(out);
                    }
                    Flow::Next
                }
                Node::If(branch) => self.branch(branch, dot, false, out, limit)?,
                Node::With(branch) => self.branch(branch, dot, true, out, limit)?,
                Node::Range(branch) => self.range(branch, dot, out, limit)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, branch: &Branch, dot: &Dot, with: bool, out: &mut String, limit: usize) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipeline(&branch.pipeline, dot)?;
        let flow = if self.truth(&value)? {
            self.list(&branch.body, if with { &value } else { dot }, out, limit)
        } else {
            self.list(&branch.otherwise, dot, out, limit)
        };
        self.variables.truncate(known);
        flow
    }

    fn truth(&mut self, dot: &Dot) -> Result<bool, String> {
        match dot {
            Dot::Labels => self.materialise(Dot::Labels).map(|labels| labels.truth()),
            Dot::Value(value) => Ok(value.truth()),
        }
    }

    fn range(&mut self, branch: &Branch, dot: &Dot, out: &mut String, limit: usize) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipeline(&branch.pipeline, dot)?;
        // Numbers are counted up one by one: loops inside loops would otherwise hold all of theirs at once.
        let items: Box<dyn Iterator<Item = (Value, Value)>> = match self.materialise(value)? {
            Value::List(items) => Box::new((0i64..).zip(items).map(|(i, item)| (Value::Int(i), item))),
            Value::Map(members) => Box::new(members.into_iter().map(|(key, value)| (Value::Text(key), value))),
            Value::Int(count) => Box::new((0..count).map(|i| (Value::Int(i), Value::Int(i)))),
            Value::Nil => Box::new(std::iter::empty()),
            other => {
                let at = branch.pipeline.commands.first();
                let message = format!("range can't iterate over {}", other.to_text());
                return at.map_or_else(|| Err(message.clone()), |command| self.error(command, &message));
            }
        };
        self.variables.truncate(known);
        let mut items = items.peekable();
        if items.peek().is_none() {
            return self.list(&branch.otherwise, dot, out, limit);
        }
        for (key, item) in items {
            self.step()?;
            self.bind_loop(&branch.pipeline, key, &item);
            let flow = self.list(&branch.body, &Dot::Value(item), out, limit)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// One variable takes the item, two take key and item.
    fn bind_loop(&mut self, pipeline: &Pipeline, key: Value, item: &Value) {
        match pipeline.variables.as_slice() {
            [only] => self.bind(only, Dot::Value(item.clone()), pipeline.assigns),
            [first, second] => {
                self.bind(first, Dot::Value(key), pipeline.assigns);
                self.bind(second, Dot::Value(item.clone()), pipeline.assigns);
            }
            _ => {}
        }
    }

    fn bind(&mut self, name: &str, value: Dot, assigns: bool) {
        if assigns && let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            *slot = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Dot) -> Result<Dot, String> {
        let mut value = None;
        for command in &pipeline.commands {
            self.step()?;
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Dot::Value(Value::Nil));
        if let [name] = pipeline.variables.as_slice() {
            self.bind(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, dot: &Dot, piped: Option<Dot>) -> Result<Dot, String> {
        let Some((first, rest)) = command.operands.split_first() else { return Ok(Dot::Value(Value::Nil)) };
        if let Operand::Function(name) = first {
            return self.call(command, name, rest, dot, piped);
        }
        if let Some(method) = self.time_method(first, command, rest, dot, piped.clone())? {
            return Ok(method);
        }
        if !rest.is_empty() || piped.is_some() {
            return self.error(command, "can't give argument to non-function");
        }
        if matches!(first, Operand::Nil) {
            return self.error(command, "nil is not a command");
        }
        self.operand(first, command, dot)
    }

    fn call(&mut self, command: &Command, name: &str, operands: &[Operand], dot: &Dot, piped: Option<Dot>) -> Result<Dot, String> {
        if matches!(name, "and" | "or") {
            return self.and_or(command, name == "and", operands, dot, piped);
        }
        let mut args = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let value = self.operand(operand, command, dot)?;
            args.push(self.materialise(value)?);
        }
        if let Some(value) = piped {
            args.push(self.materialise(value)?);
        }
        let compiled = functions::regexes_compiled();
        let result = functions::call(name, &args, self.fields);
        self.spend(functions::regexes_compiled().saturating_sub(compiled).saturating_mul(REGEX_BYTES))?;
        match result {
            Ok(value) => {
                self.spend(value.size())?;
                Ok(Dot::Value(value))
            }
            Err(message)
                if message.starts_with("wrong number of args") || message.starts_with("wrong type for value") || message.starts_with("invalid value;") =>
            {
                self.error(command, &message)
            }
            Err(message) => self.error(command, &format!("error calling {name}: {message}")),
        }
    }

    /// Stops at the first operand that decides.
    fn and_or(&mut self, command: &Command, is_and: bool, operands: &[Operand], dot: &Dot, piped: Option<Dot>) -> Result<Dot, String> {
        let mut last = None;
        for operand in operands {
            let value = self.operand(operand, command, dot)?;
            if self.truth(&value)? != is_and {
                return Ok(value);
            }
            last = Some(value);
        }
        match piped.or(last) {
            Some(value) => Ok(value),
            None => self.error(command, &format!("wrong number of args for {}: want at least 1 got 0", if is_and { "and" } else { "or" })),
        }
    }

    fn operand(&mut self, operand: &Operand, command: &Command, dot: &Dot) -> Result<Dot, String> {
        let value = self.operand_value(operand, command, dot)?;
        if let Dot::Value(value) = &value {
            self.spend(value.size())?;
        }
        Ok(value)
    }

    fn operand_value(&mut self, operand: &Operand, command: &Command, dot: &Dot) -> Result<Dot, String> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Dot::Value(Value::Nil)),
            Operand::Constant(value) => Ok(Dot::Value(value.clone())),
            Operand::Field(path) => self.path(dot.clone(), path, command),
            Operand::Variable(name, path) => {
                let found = self.variables.iter().rev().enumerate().find(|(_, (known, _))| known == name);
                let value = found.map_or(Dot::Value(Value::Nil), |(_, (_, value))| value.clone());
                // Looking for it among many is work, too.
                self.spend(found.map_or(0, |(passed, _)| passed))?;
                self.path(value, path, command)
            }
            Operand::Paren(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                self.path(value, path, command)
            }
            Operand::Function(name) => self.call(command, name, &[], dot, None),
        }
    }

    fn path(&mut self, from: Dot, path: &[String], command: &Command) -> Result<Dot, String> {
        let mut current = from;
        for name in path {
            current = match current {
                // A missing label is the zero value of a map of strings.
                Dot::Labels => Dot::Value(Value::Text(self.fields.get(name).map(|value| value.into_owned()).unwrap_or_default())),
                Dot::Value(Value::Map(mut members)) => Dot::Value(members.remove(name).unwrap_or(Value::Nil)),
                // A member of nothing is nothing.
                Dot::Value(Value::Nil) => Dot::Value(Value::Nil),
                Dot::Value(Value::Time(time)) => match super::functions::time_field(&time, name, &[]) {
                    Some(result) => Dot::Value(result.or_else(|message| self.error(command, &message))?),
                    None => return self.error(command, &format!("can't evaluate field {name} in type time.Time")),
                },
                Dot::Value(other) => return self.error(command, &format!("can't evaluate field {name} in type {}", other.type_name())),
            };
        }
        Ok(current)
    }

    /// A method of a time with arguments, such as `$t.Format "2006"`.
    fn time_method(&mut self, first: &Operand, command: &Command, rest: &[Operand], dot: &Dot, piped: Option<Dot>) -> Result<Option<Dot>, String> {
        if rest.is_empty() && piped.is_none() {
            return Ok(None);
        }
        let (receiver, method) = match first {
            Operand::Field(path) => (self.path(dot.clone(), path.get(..path.len().saturating_sub(1)).unwrap_or(&[]), command)?, path.last()),
            Operand::Variable(name, path) => {
                let base = Operand::Variable(name.clone(), path.get(..path.len().saturating_sub(1)).unwrap_or(&[]).to_vec());
                (self.operand(&base, command, dot)?, path.last())
            }
            Operand::Paren(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                (self.path(value, path.get(..path.len().saturating_sub(1)).unwrap_or(&[]), command)?, path.last())
            }
            _ => return Ok(None),
        };
        let (Dot::Value(Value::Time(time)), Some(method)) = (receiver, method) else { return Ok(None) };
        let mut args = Vec::new();
        for operand in rest {
            let value = self.operand(operand, command, dot)?;
            args.push(self.materialise(value)?);
        }
        if let Some(value) = piped {
            args.push(self.materialise(value)?);
        }
        match functions::time_field(&time, method, &args) {
            Some(Ok(value)) => Ok(Some(Dot::Value(value))),
            Some(Err(message)) => self.error(command, &message),
            None => Ok(None),
        }
    }

    fn materialise(&mut self, dot: Dot) -> Result<Value, String> {
        match dot {
            Dot::Value(value) => Ok(value),
            Dot::Labels => {
                let labels = Value::Map(self.fields.all().into_iter().map(|(name, value)| (name, Value::Text(value))).collect::<BTreeMap<_, _>>());
                self.spend(labels.size())?;
                Ok(labels)
            }
        }
    }
}
