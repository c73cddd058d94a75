//! How Loki prints the pattern of a label filter: in backquotes when it runs it as a regular expression, quoted when it has turned it into
//! substring tests. Only the spelling depends on this.
//! Owns: which patterns Loki can turn into substring tests (one literal, `.*`, `.+`, alternations of these, a literal before an alternation).

use regex_syntax::ast::{Ast, ClassSet, ClassSetItem, Flag, FlagsItemKind, GroupKind, RepetitionKind, parse::Parser};

use crate::go_regex;

/// Whether Loki prints `pattern` in backquotes.
pub(crate) fn prints_raw(pattern: &str) -> bool {
    // Neither can stand in backquotes; Loki writes a NUL there all the same, and cannot read it back.
    if pattern.contains(['`', '\0']) {
        return false;
    }
    let Some(ast) = go_regex::translate(pattern).ok().and_then(|translated| Parser::new().parse(&translated).ok()) else { return false };
    let mut flags = Flags::default();
    !simplifies(&node(&ast, &mut flags))
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Empty,
    Literal {
        text: String,
        fold: bool,
    },
    /// `.*`
    AnyStar,
    /// `.+`
    AnyPlus,
    Capture(Box<Node>),
    Concat(Vec<Node>),
    Alternation(Vec<Node>),
    Other,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    dot_all: bool,
}

fn node(ast: &Ast, flags: &mut Flags) -> Node {
    match ast {
        Ast::Empty(_) => Node::Empty,
        Ast::Literal(literal) => Node::Literal { text: literal.c.to_string(), fold: flags.fold },
        Ast::Flags(set) => {
            apply(&set.flags, flags);
            Node::Empty
        }
        Ast::Repetition(repetition) => match (&*repetition.ast, &repetition.op.kind) {
            (Ast::Dot(_), RepetitionKind::ZeroOrMore) if !flags.dot_all => Node::AnyStar,
            (Ast::Dot(_), RepetitionKind::OneOrMore) if !flags.dot_all => Node::AnyPlus,
            _ => Node::Other,
        },
        Ast::Group(group) => {
            let mut inner = *flags;
            if let GroupKind::NonCapturing(set) = &group.kind {
                apply(set, &mut inner);
                return node(&group.ast, &mut inner);
            }
            Node::Capture(Box::new(node(&group.ast, &mut inner)))
        }
        Ast::ClassBracketed(class) => match &class.kind {
            ClassSet::Item(ClassSetItem::Literal(literal)) if !class.negated => Node::Literal { text: literal.c.to_string(), fold: flags.fold },
            _ => Node::Other,
        },
        Ast::Concat(concat) => concatenate(concat.asts.iter().map(|ast| node(ast, flags)).collect()),
        Ast::Alternation(alternation) => alternate(alternation.asts.iter().map(|ast| node(ast, flags)).collect()),
        Ast::Dot(_) | Ast::Assertion(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) => Node::Other,
    }
}

fn apply(set: &regex_syntax::ast::Flags, flags: &mut Flags) {
    let mut value = true;
    for item in &set.items {
        match item.kind {
            FlagsItemKind::Negation => value = false,
            FlagsItemKind::Flag(Flag::CaseInsensitive) => flags.fold = value,
            FlagsItemKind::Flag(Flag::DotMatchesNewLine) => flags.dot_all = value,
            FlagsItemKind::Flag(_) => {}
        }
    }
}

/// One node for a sequence: neighbouring literals become one, nested sequences and empty nodes vanish.
fn concatenate(nodes: Vec<Node>) -> Node {
    let mut flat: Vec<Node> = Vec::new();
    for node in nodes {
        match node {
            Node::Empty => {}
            Node::Concat(inner) => inner.into_iter().for_each(|node| push_literal(&mut flat, node)),
            node => push_literal(&mut flat, node),
        }
    }
    match flat.pop() {
        None => Node::Empty,
        Some(only) if flat.is_empty() => only,
        Some(last) => {
            flat.push(last);
            Node::Concat(flat)
        }
    }
}

fn push_literal(nodes: &mut Vec<Node>, node: Node) {
    match (nodes.last_mut(), node) {
        (Some(Node::Literal { text, fold }), Node::Literal { text: more, fold: more_fold }) if *fold == more_fold => text.push_str(&more),
        (_, node) => nodes.push(node),
    }
}

/// One node for a choice, factored as Go does: neighbours that begin with the same characters share them, and neighbouring single
/// characters become a class.
fn alternate(branches: Vec<Node>) -> Node {
    let mut factored: Vec<Node> = Vec::new();
    let mut rest = branches.into_iter().peekable();
    while let Some(first) = rest.next() {
        let Some((mut prefix, fold)) = leading_literal(&first) else {
            factored.push(first);
            continue;
        };
        let mut group = vec![first];
        while let Some(shared) = rest.peek().and_then(leading_literal).filter(|(_, other)| *other == fold).map(|(text, _)| common_prefix(&prefix, &text)) {
            if shared.is_empty() {
                break;
            }
            prefix = shared;
            group.extend(rest.next());
        }
        if group.len() == 1 {
            factored.append(&mut group);
        } else {
            let suffixes = alternate(group.into_iter().map(|branch| without_prefix(branch, prefix.len())).collect());
            factored.push(concatenate(vec![Node::Literal { text: prefix, fold }, suffixes]));
        }
    }
    let is_char = |node: &Node| matches!(node, Node::Literal { text, .. } if text.chars().nth(1).is_none());
    let mut merged: Vec<Node> = Vec::new();
    let mut last_was_char = false;
    for node in factored {
        let char_now = is_char(&node);
        match merged.last_mut() {
            Some(last) if last_was_char && char_now => *last = Node::Other,
            Some(Node::Empty) if node == Node::Empty => {}
            _ => merged.push(node),
        }
        last_was_char = char_now;
    }
    match merged.pop() {
        Some(only) if merged.is_empty() => only,
        last => {
            merged.extend(last);
            Node::Alternation(merged)
        }
    }
}

fn leading_literal(node: &Node) -> Option<(String, bool)> {
    match node {
        Node::Literal { text, fold } => Some((text.clone(), *fold)),
        Node::Concat(nodes) => nodes.first().and_then(leading_literal),
        _ => None,
    }
}

fn common_prefix(a: &str, b: &str) -> String {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x).collect()
}

fn without_prefix(node: Node, bytes: usize) -> Node {
    match node {
        Node::Literal { text, fold } => match text.get(bytes..) {
            Some(rest) if !rest.is_empty() => Node::Literal { text: rest.to_owned(), fold },
            _ => Node::Empty,
        },
        Node::Concat(nodes) => {
            let mut nodes = nodes.into_iter();
            let first = nodes.next().map_or(Node::Empty, |first| without_prefix(first, bytes));
            concatenate(std::iter::once(first).chain(nodes).collect())
        }
        other => other,
    }
}

fn simplifies(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Literal { .. } | Node::AnyStar | Node::AnyPlus => true,
        Node::Capture(inner) => simplifies(inner),
        Node::Alternation(branches) => branches.iter().all(simplifies),
        Node::Concat(parts) => concat_simplifies(parts, false),
        Node::Other => false,
    }
}

/// At most three parts: one literal, `.*`, and, after a literal, alternations.
fn concat_simplifies(parts: &[Node], literal_before: bool) -> bool {
    let parts: Vec<&Node> = parts.iter().map(uncaptured).filter(|part| **part != Node::Empty).collect();
    let (mut literals, mut has_literal, mut fold_base) = (0, literal_before, false);
    for part in &parts {
        match part {
            Node::Literal { fold, .. } => {
                literals += 1;
                has_literal = true;
                fold_base = *fold;
            }
            Node::Alternation(branches) if has_literal => {
                let simple = branches.iter().all(|branch| match uncaptured(branch) {
                    Node::Empty | Node::AnyStar => true,
                    Node::Literal { fold, .. } => fold_base || !fold,
                    Node::Concat(parts) => concat_simplifies(parts, true),
                    _ => false,
                });
                if !simple {
                    return false;
                }
            }
            Node::AnyStar => {}
            _ => return false,
        }
    }
    parts.len() <= 3 && literals <= 1 && has_literal
}

fn uncaptured(node: &Node) -> &Node {
    match node {
        Node::Capture(inner) => uncaptured(inner),
        node => node,
    }
}
