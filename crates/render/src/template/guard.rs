//! Guards the operators of a template.
//!
//! The engine's own operators do not use the [`Meter`](super::meter::Meter). So the tree of the template is rebuilt,
//! and each operand that may take long first passes through a filter of [`super::operators`]. These filters also keep
//! the engine from folding constants while it compiles. The rebuilding visits every name, so an unknown name is refused
//! before the first lead arrives.

use std::collections::HashSet;

use minijinja::{
    Value,
    machinery::{
        Span,
        ast::{
            AutoEscape, BinOp, BinOpKind, Call, CallArg, Compare, CompareOp, Const, Do, EmitExpr, Expr, Filter,
            FilterBlock, ForLoop, GetAttr, GetItem, IfCond, IfExpr, List, Map, Set, SetBlock, Slice, Spanned, Stmt,
            Template, Test, Tuple, UnaryOp, UnaryOpKind, Var, WithBlock,
        },
    },
};

use crate::{
    template::{
        functions::{FILTERS, FUNCTIONS, TESTS},
        operators,
        part::Part,
    },
    values::{ROOTS, Raw},
};

/// A problem of a template, and its line.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// Rebuilds the tree with guards.
pub(crate) struct Guard<'a> {
    part: Part,
    used: Vec<(&'a str, Span)>,
    set: HashSet<&'a str>,
    branches: bool,
    refused: Option<Refused>,
}

impl<'a> Guard<'a> {
    /// The guarded tree, and whether the lead decides which parts of it are written.
    pub(crate) fn template(tree: &Stmt<'a>, part: Part) -> Result<(Stmt<'a>, bool), Refused> {
        let mut guard = Self { part, used: vec![], set: HashSet::from_iter(ROOTS), branches: false, refused: None };
        let guarded = guard.stmt(tree);
        for (name, span) in std::mem::take(&mut guard.used) {
            if !guard.set.contains(name) && name != "loop" {
                guard.refuse(span, format!("{name} is unknown; available: {}", ROOTS.join(", ")));
            }
        }
        guard.refused.map_or(Ok((guarded, guard.branches)), Err)
    }

    fn refuse(&mut self, span: Span, problem: String) {
        let line = usize::from(span.start_line);
        if self.refused.as_ref().is_none_or(|refused| line < refused.line) {
            self.refused = Some(Refused { line, problem });
        }
    }

    fn stmts(&mut self, stmts: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
        stmts.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn stmt(&mut self, stmt: &Stmt<'a>) -> Stmt<'a> {
        match stmt {
            Stmt::Template(s) => Stmt::Template(Spanned::new(Template { children: self.stmts(&s.children) }, s.span())),
            Stmt::EmitExpr(s) => {
                let expr = self.emitted(&s.expr);
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, s.span()))
            }
            Stmt::EmitRaw(s) => {
                let expr = constant(Value::from_object(Raw(s.raw.to_owned())), s.span());
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, s.span()))
            }
            Stmt::ForLoop(s) => Stmt::ForLoop(Spanned::new(self.for_loop(s, s.span()), s.span())),
            Stmt::IfCond(s) => {
                self.branches = true;
                let expr = self.expr(&s.expr);
                let (true_body, false_body) = (self.stmts(&s.true_body), self.stmts(&s.false_body));
                Stmt::IfCond(Spanned::new(IfCond { expr, true_body, false_body }, s.span()))
            }
            Stmt::WithBlock(s) => {
                let assigned = |(target, expr): &(Expr<'a>, Expr<'a>)| {
                    let expr = self.expr(expr);
                    (self.target(target), expr)
                };
                let assignments = s.assignments.iter().map(assigned).collect();
                Stmt::WithBlock(Spanned::new(WithBlock { assignments, body: self.stmts(&s.body) }, s.span()))
            }
            Stmt::Set(s) => {
                let expr = self.expr(&s.expr);
                Stmt::Set(Spanned::new(Set { target: self.target(&s.target), expr }, s.span()))
            }
            Stmt::SetBlock(s) => {
                let (target, filter) = (self.target(&s.target), s.filter.as_ref().map(|filter| self.expr(filter)));
                Stmt::SetBlock(Spanned::new(SetBlock { target, filter, body: self.stmts(&s.body) }, s.span()))
            }
            Stmt::AutoEscape(s) => {
                let enabled = self.expr(&s.enabled);
                Stmt::AutoEscape(Spanned::new(AutoEscape { enabled, body: self.stmts(&s.body) }, s.span()))
            }
            Stmt::FilterBlock(s) => {
                let filter = self.expr(&s.filter);
                Stmt::FilterBlock(Spanned::new(FilterBlock { filter, body: self.stmts(&s.body) }, s.span()))
            }
            Stmt::Do(s) => {
                let call = Spanned::new(self.call(&s.call, s.call.span()), s.call.span());
                Stmt::Do(Spanned::new(Do { call }, s.span()))
            }
        }
    }

    /// Outside of JSON, a value has to be one piece of text. The error about any other value contains its name.
    fn emitted(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let guarded = self.expr(expr);
        if self.part == Part::Json {
            return guarded;
        }
        let described = constant(Value::from(described(expr)), expr.span());
        through(operators::ONE_PIECE, guarded, vec![CallArg::Pos(described)])
    }

    fn for_loop(&mut self, s: &ForLoop<'a>, span: Span) -> ForLoop<'a> {
        self.branches = true;
        if s.recursive {
            self.refuse(span, "recursive loops are not available".to_owned());
        }
        let iter = through(operators::WHOLE, self.expr(&s.iter), vec![]);
        ForLoop {
            target: self.target(&s.target),
            iter,
            filter_expr: s.filter_expr.as_ref().map(|filter| self.expr(filter)),
            recursive: false,
            body: self.stmts(&s.body),
            else_body: self.stmts(&s.else_body),
        }
    }

    /// The target of an assignment: a name, or a list of names.
    fn target(&mut self, target: &Expr<'a>) -> Expr<'a> {
        match target {
            Expr::Var(v) => {
                self.set.insert(v.id);
                Expr::Var(Spanned::new(Var { id: v.id }, v.span()))
            }
            Expr::List(l) => {
                let items = l.items.iter().map(|item| self.target(item)).collect();
                Expr::List(Spanned::new(List { items }, l.span()))
            }
            Expr::Tuple(t) => {
                let items = t.items.iter().map(|item| self.target(item)).collect();
                Expr::Tuple(Spanned::new(Tuple { items }, t.span()))
            }
            other => {
                self.refuse(other.span(), "only names can be set".to_owned());
                self.expr(other)
            }
        }
    }

    fn exprs(&mut self, exprs: &[Expr<'a>]) -> Vec<Expr<'a>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let span = expr.span();
        match expr {
            Expr::Var(v) => {
                self.used.push((v.id, span));
                Expr::Var(Spanned::new(Var { id: v.id }, span))
            }
            Expr::Const(c) => constant(c.value.clone(), span),
            Expr::Slice(s) => self.slice(s, span),
            Expr::UnaryOp(u) => {
                let inner = self.expr(&u.expr);
                let (op, expr) = match u.op {
                    UnaryOpKind::Not => (UnaryOpKind::Not, inner),
                    UnaryOpKind::Neg if matches!(inner, Expr::Const(_)) => (UnaryOpKind::Neg, inner),
                    UnaryOpKind::Neg => (UnaryOpKind::Neg, through(operators::NUMBER, inner, vec![])),
                };
                Expr::UnaryOp(Spanned::new(UnaryOp { op, expr }, span))
            }
            Expr::BinOp(b) => self.binary(b, span),
            Expr::Compare(c) => {
                let first = self.operand(operators::OPERAND, &c.expr);
                let ops =
                    c.ops.iter().map(|op| CompareOp { op: op.op, expr: self.operand(operators::OPERAND, &op.expr) });
                let ops = ops.collect();
                Expr::Compare(Spanned::new(Compare { expr: first, ops }, span))
            }
            Expr::IfExpr(i) => {
                self.branches = true;
                let (test_expr, true_expr) = (self.expr(&i.test_expr), self.expr(&i.true_expr));
                let false_expr = i.false_expr.as_ref().map(|expr| self.expr(expr));
                Expr::IfExpr(Spanned::new(IfExpr { test_expr, true_expr, false_expr }, span))
            }
            Expr::Filter(f) => {
                self.check("filter", f.name, &FILTERS, span);
                if f.name == "safe" && self.part.is_escaped() {
                    self.refuse(
                        span,
                        format!("the filter safe is unknown in {}: each value is escaped", self.part.whole()),
                    );
                }
                let may_be_undefined = matches!(f.name, "default" | "d");
                let expr = f.expr.as_ref().map(|expr| self.maybe_undefined(expr, may_be_undefined));
                Expr::Filter(Spanned::new(Filter { name: f.name, expr, args: self.args(&f.args) }, span))
            }
            Expr::Test(t) => {
                self.check("test", t.name, &TESTS, span);
                let expr = self.maybe_undefined(&t.expr, matches!(t.name, "defined" | "undefined"));
                Expr::Test(Spanned::new(Test { name: t.name, expr, args: self.args(&t.args) }, span))
            }
            Expr::GetAttr(g) => Expr::GetAttr(Spanned::new(GetAttr { expr: self.expr(&g.expr), name: g.name }, span)),
            Expr::GetItem(g) => self.item(g, span),
            Expr::Call(c) => Expr::Call(Spanned::new(self.call(c, span), span)),
            Expr::List(l) => Expr::List(Spanned::new(List { items: self.exprs(&l.items) }, span)),
            Expr::Tuple(t) => Expr::Tuple(Spanned::new(Tuple { items: self.exprs(&t.items) }, span)),
            Expr::Map(m) => {
                let keys = m.keys.iter().map(|key| self.key(key)).collect();
                Expr::Map(Spanned::new(Map { keys, values: self.exprs(&m.values) }, span))
            }
        }
    }

    /// A name that may be unknown, because the template asks whether it is defined.
    fn maybe_undefined(&mut self, expr: &Expr<'a>, any: bool) -> Expr<'a> {
        match expr {
            Expr::Var(v) if any => Expr::Var(Spanned::new(Var { id: v.id }, v.span())),
            _ => self.expr(expr),
        }
    }

    fn operand(&mut self, filter: &'static str, expr: &Expr<'a>) -> Expr<'a> {
        let named = match (self.part, filter) {
            (Part::Json, _) => vec![],
            (_, operators::TEXT) => vec![CallArg::Pos(constant(Value::from(described(expr)), expr.span()))],
            _ => vec![],
        };
        through(filter, self.expr(expr), named)
    }

    fn binary(&mut self, b: &BinOp<'a>, span: Span) -> Expr<'a> {
        self.branches |= matches!(b.op, BinOpKind::ScAnd | BinOpKind::ScOr);
        let filter = match b.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => None,
            BinOpKind::Concat => Some(operators::TEXT),
            BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow => Some(operators::NUMBER),
            _ => Some(operators::OPERAND),
        };
        let mut side = |expr| match filter {
            Some(filter) => self.operand(filter, expr),
            None => self.expr(expr),
        };
        let (left, right) = (side(&b.left), side(&b.right));
        let made = Expr::BinOp(Spanned::new(BinOp { op: b.op, left, right }, span));
        match b.op {
            BinOpKind::Add => through(operators::WHOLE, made, vec![]),
            _ => made,
        }
    }

    fn slice(&mut self, s: &Slice<'a>, span: Span) -> Expr<'a> {
        let mut bound = |expr: &Option<Expr<'a>>| expr.as_ref().map(|expr| self.operand(operators::NUMBER, expr));
        let (start, stop, step) = (bound(&s.start), bound(&s.stop), bound(&s.step));
        let expr = self.operand(operators::OPERAND, &s.expr);
        let made = Expr::Slice(Spanned::new(Slice { expr, start, stop, step }, span));
        through(operators::WHOLE, made, vec![])
    }

    fn item(&mut self, g: &GetItem<'a>, span: Span) -> Expr<'a> {
        let subscript_expr = self.key(&g.subscript_expr);
        let expr = self.expr(&g.expr);
        // Only positions are charged: a text has no named fields, and to find a position in a text the engine counts
        // from its beginning.
        let named = matches!(&subscript_expr, Expr::Const(c) if c.value.as_str().is_some());
        let expr = if named { expr } else { through(operators::ITEM, expr, vec![]) };
        Expr::GetItem(Spanned::new(GetItem { expr, subscript_expr }, span))
    }

    fn key(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        match self.expr(expr) {
            constant @ Expr::Const(_) => constant,
            other => through(operators::KEY, other, vec![]),
        }
    }

    fn call(&mut self, c: &Call<'a>, span: Span) -> Call<'a> {
        let expr = match &c.expr {
            Expr::Var(v) => {
                self.check("function", v.id, &FUNCTIONS, span);
                Expr::Var(Spanned::new(Var { id: v.id }, v.span()))
            }
            other => self.expr(other),
        };
        Call { expr, args: self.args(&c.args) }
    }

    fn args(&mut self, args: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
        let arg = |arg: &CallArg<'a>| match arg {
            CallArg::Pos(expr) => CallArg::Pos(self.expr(expr)),
            CallArg::Kwarg(name, expr) => CallArg::Kwarg(name, self.expr(expr)),
            CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                self.refuse(expr.span(), "* and ** in arguments are not available".to_owned());
                CallArg::Pos(self.expr(expr))
            }
        };
        args.iter().map(arg).collect()
    }

    fn check(&mut self, what: &str, name: &str, known: &[&str], span: Span) {
        if !known.contains(&name) {
            self.refuse(span, format!("the {what} {name} is unknown; available: {}", known.join(", ")));
        }
    }
}

fn constant<'a>(value: Value, span: Span) -> Expr<'a> {
    Expr::Const(Spanned::new(Const { value }, span))
}

fn through<'a>(name: &'static str, expr: Expr<'a>, args: Vec<CallArg<'a>>) -> Expr<'a> {
    let span = expr.span();
    Expr::Filter(Spanned::new(Filter { name, expr: Some(expr), args }, span))
}

/// The path of a value, as an author would write it.
fn described(expr: &Expr<'_>) -> String {
    match expr {
        Expr::Var(v) => v.id.to_owned(),
        Expr::GetAttr(g) => format!("{}.{}", described(&g.expr), g.name),
        Expr::GetItem(g) => match &g.subscript_expr {
            Expr::Const(c) => format!("{}[{:?}]", described(&g.expr), c.value),
            _ => format!("{}[…]", described(&g.expr)),
        },
        Expr::Filter(f) => f.expr.as_ref().map_or_else(|| "the value".to_owned(), described),
        _ => "the value".to_owned(),
    }
}
