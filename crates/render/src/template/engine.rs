//! Compiles and renders one template. Sets up the engine and its limits, and rewords its errors.

use std::{collections::BTreeMap, sync::LazyLock};

use domain::registry::RequestShape;
use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value,
    machinery::{CodeGenerator, Instructions, Token, eval, make_string_output, parse, tokenize},
    syntax::SyntaxConfig,
};

use crate::{
    error::{FUEL, RenderError},
    template::{
        functions,
        guard::{Guard, Refused},
        operators,
        part::Part,
    },
};

/// Maximum number of tokens in one `{{ … }}` or `{% … %}`, because the compiler recurses once for each operator of a
/// chain.
const MAX_TOKENS: usize = 1_000;
/// Maximum number of `{% … %}` in a template, because the compiler recurses once for each `elif`.
const MAX_TAGS: usize = 1_000;
/// Maximum depth of nested loops, because every look-up of a name searches all of them.
const MAX_NESTED_LOOPS: usize = 32;

fn environment_of(part: Part) -> &'static Environment<'static> {
    static ALL: [LazyLock<Environment<'static>>; 5] = [
        LazyLock::new(|| environment(Part::Url)),
        LazyLock::new(|| environment(Part::Json)),
        LazyLock::new(|| environment(Part::Form)),
        LazyLock::new(|| environment(Part::Xml)),
        LazyLock::new(|| environment(Part::Text)),
    ];
    match part {
        Part::Url => &ALL[0],
        Part::Json => &ALL[1],
        Part::Form => &ALL[2],
        Part::Xml => &ALL[3],
        Part::Text => &ALL[4],
    }
}

fn environment(part: Part) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_NESTED_LOOPS);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // In debug mode, errors of the engine name the undefined path.
    environment.set_debug(true);
    functions::add_to(&mut environment, part);
    operators::add_to(&mut environment, part);
    part.set_formatter(&mut environment);
    environment
}

/// A compiled template.
pub(crate) struct Compiled<'a> {
    part: Part,
    instructions: Instructions<'a>,
    blocks: BTreeMap<&'a str, Instructions<'a>>,
    /// Whether the lead decides which parts of the template are written.
    pub(crate) depends_on_the_lead: bool,
}

impl<'a> Compiled<'a> {
    /// Compiles a template. Recurses as deep as the template is nested, so it needs [`STACK`](crate::STACK).
    pub(crate) fn read(text: &'a str, part: Part) -> Result<Self, RenderError> {
        check_size(text, part)?;
        let tree = parse(text, "", SyntaxConfig::default()).map_err(|e| in_words(part, &e))?;
        let (guarded, depends_on_the_lead) = Guard::template(&tree, part)
            .map_err(|Refused { line, problem }| RenderError::Template { part: part.name(), line, problem })?;
        let mut generator = CodeGenerator::new("", text);
        generator.compile_stmt(&guarded);
        let (instructions, blocks) = generator.finish();
        Ok(Self { part, instructions, blocks, depends_on_the_lead })
    }

    /// Renders the template with these values.
    pub(crate) fn fill(&self, values: Value) -> Result<String, RenderError> {
        let mut text = String::new();
        let mut out = make_string_output(&mut text);
        let (environment, escape) = (environment_of(self.part), self.part.auto_escape());
        eval(environment, &self.instructions, values, &self.blocks, &mut out, escape)
            .map_err(|e| in_words(self.part, &e))?;
        Ok(text)
    }
}

/// Checks the size of a template before anything recurses into it.
fn check_size(text: &str, part: Part) -> Result<(), RenderError> {
    if text.len() > RequestShape::MAX_TEMPLATE {
        let problem = format!("it has {} bytes, and {} is the limit", text.len(), RequestShape::MAX_TEMPLATE);
        return Err(RenderError::Template { part: part.name(), line: 1, problem });
    }
    let (mut tokens, mut tags) = (0, 0);
    for token in tokenize(text, false, SyntaxConfig::default()) {
        let (token, span) = token.map_err(|e| in_words(part, &e))?;
        match token {
            Token::VariableStart => tokens = 0,
            Token::BlockStart => (tokens, tags) = (0, tags + 1),
            _ => tokens += 1,
        }
        let problem = match () {
            () if tokens > MAX_TOKENS => {
                format!("an expression has more than {MAX_TOKENS} words and signs, which is the limit")
            }
            () if tags > MAX_TAGS => format!("the template has more than {MAX_TAGS} statements, which is the limit"),
            () => continue,
        };
        return Err(RenderError::Template { part: part.name(), line: usize::from(span.start_line), problem });
    }
    Ok(())
}

/// Rewords an error of the engine for the author of the template.
fn in_words(part: Part, error: &Error) -> RenderError {
    let detail = error.detail().unwrap_or_default();
    let problem = match (error.kind(), undefined(detail)) {
        // The engine quotes the numbers, which are values of the lead.
        (ErrorKind::InvalidOperation, None) if detail.starts_with("unable to calculate ") => {
            "a calculation has no result: a number is too large, or the divisor is 0".to_owned()
        }
        (ErrorKind::UndefinedError, Some(path)) => format!("{path} is not in this lead"),
        (ErrorKind::UndefinedError, None) => "a value that the template uses is not in this lead".to_owned(),
        (_, Some(path)) => format!("{path} is not in this lead: {}", before_path(detail)),
        (ErrorKind::OutOfFuel, None) => {
            format!("the template takes more than {FUEL} steps for one request, which is the limit")
        }
        (ErrorKind::InvalidOperation, None) if !detail.is_empty() => detail.to_owned(),
        (kind, None) if detail.is_empty() => kind.to_string(),
        (kind, None) => format!("{kind}: {detail}"),
    };
    RenderError::Template { part: part.name(), line: error.line().unwrap_or(1), problem }
}

/// The path that the engine found undefined, which the message of the engine has in backquotes; `None` if there is
/// none.
fn undefined(detail: &str) -> Option<&str> {
    let (_, from) = detail.split_once('`')?;
    let (path, rest) = from.split_once('`')?;
    (rest.starts_with(" is undefined") && !path.contains("(...)")).then_some(path)
}

fn before_path(detail: &str) -> &str {
    detail.split_once(" (`").map_or(detail, |(before, _)| before)
}

pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}
