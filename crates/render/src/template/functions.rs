//! The filters, tests and functions that templates may use. Those of the engine that multiply their input are left out.
//! Each of the others is charged for what it reads and writes.

use minijinja::{
    Environment, Error, State, Value, filters, functions, tests,
    value::{Rest, ValueKind},
};

use crate::{
    template::{
        meter::{MAX_TEXT_GROWTH, Meter, invalid},
        operators::plain,
        part::Part,
    },
    values::{Exact, PLACEHOLDER, is_placeholder},
    write,
};

pub(crate) const FILTERS: [&str; 40] = [
    "abs",
    "attr",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "e",
    "escape",
];
pub(crate) const TESTS: [&str; 36] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
    "==",
    "!=",
    "<",
    ">",
    "safe",
];
/// Inside a loop, `loop` has further functions.
pub(crate) const FUNCTIONS: [&str; 1] = ["range"];

/// About how often a filter that sorts or compares reads each item of its input.
const SORT_VISITS: usize = 16;
/// How many times longer a text can become in upper or lower case.
const MAX_CASE_GROWTH: usize = 3;

/// How a filter reads its input, which decides its cost.
#[derive(Debug, Clone, Copy)]
enum Cost {
    /// It reads the outermost level only.
    Shallow,
    /// It reads the whole value, this many times.
    All(usize),
    /// It reads one text.
    Text,
    /// It calculates with a number, or with a list of numbers.
    Numbers,
}

pub(crate) fn add_to(environment: &mut Environment<'static>, part: Part) {
    use Cost::{All, Numbers, Shallow, Text};
    let wrapped: [(&str, Cost, Value); 35] = [
        ("abs", Numbers, Value::from_function(filters::abs)),
        ("attr", Shallow, Value::from_function(filters::attr)),
        ("bool", Shallow, Value::from_function(filters::bool)),
        ("capitalize", Text, Value::from_function(filters::capitalize)),
        ("count", Shallow, Value::from_function(filters::length)),
        ("d", Shallow, Value::from_function(filters::default)),
        ("default", Shallow, Value::from_function(filters::default)),
        ("dictsort", All(SORT_VISITS), Value::from_function(filters::dictsort)),
        ("first", Shallow, Value::from_function(filters::first)),
        ("float", Numbers, Value::from_function(filters::float)),
        ("int", Numbers, Value::from_function(filters::int)),
        ("items", Shallow, Value::from_function(filters::items)),
        ("last", Shallow, Value::from_function(filters::last)),
        ("length", Shallow, Value::from_function(filters::length)),
        ("lines", Text, Value::from_function(filters::lines)),
        ("list", Shallow, Value::from_function(filters::list)),
        ("lower", Text, Value::from_function(filters::lower)),
        ("map", Shallow, Value::from_function(filters::map)),
        ("max", Numbers, Value::from_function(filters::max)),
        ("min", Numbers, Value::from_function(filters::min)),
        ("reject", Shallow, Value::from_function(filters::reject)),
        ("rejectattr", Shallow, Value::from_function(filters::rejectattr)),
        ("reverse", Shallow, Value::from_function(filters::reverse)),
        ("round", Numbers, Value::from_function(filters::round)),
        ("select", Shallow, Value::from_function(filters::select)),
        ("selectattr", Shallow, Value::from_function(filters::selectattr)),
        ("sort", All(SORT_VISITS), Value::from_function(filters::sort)),
        ("split", Text, Value::from_function(filters::split)),
        ("string", All(MAX_TEXT_GROWTH), Value::from_function(filters::string)),
        ("sum", Numbers, Value::from_function(filters::sum)),
        ("title", Text, Value::from_function(filters::title)),
        ("trim", Text, Value::from_function(filters::trim)),
        ("unique", All(SORT_VISITS), Value::from_function(filters::unique)),
        ("upper", Text, Value::from_function(filters::upper)),
        ("escape", All(MAX_TEXT_GROWTH), Value::from_function(filters::escape)),
    ];
    for (name, cost, native) in wrapped {
        environment.add_filter(name, metered(cost, native));
    }
    environment.add_filter("e", metered(All(MAX_TEXT_GROWTH), Value::from_function(filters::escape)));
    if part.is_escaped() {
        // Values are escaped once, as they are written.
        environment.add_filter("e", |value: Value| value);
        environment.add_filter("escape", |value: Value| value);
    }
    let safe = metered(Text, Value::from_function(filters::safe));
    environment.add_filter("safe", move |state: &mut State<'_, '_>, args: Rest<Value>| {
        let made = safe(state, args)?;
        Ok::<_, Error>(if is_placeholder(&made) { Value::from_safe_string(PLACEHOLDER.to_owned()) } else { made })
    });
    environment.add_filter("replace", replace);
    environment.add_filter("join", join);
    environment.add_filter("tojson", move |state: &mut State<'_, '_>, value: Value| {
        let json = write::json(&value, Meter::of(state))?;
        Ok::<_, Error>(if part.is_escaped() { Value::from(json) } else { Value::from_safe_string(json) })
    });
    let range = Value::from_function(functions::range);
    environment.add_function("range", move |state: &mut State<'_, '_>, args: Rest<Value>| {
        let args = args.iter().map(plain).collect::<Vec<_>>();
        let made = range.call(state, &args)?;
        Meter::of(state).whole(made)
    });
    add_tests(environment);
}

fn add_tests(environment: &mut Environment<'static>) {
    let of_any: [(&str, Value); 31] = [
        ("boolean", Value::from_function(tests::is_boolean)),
        ("defined", Value::from_function(tests::is_defined)),
        ("divisibleby", Value::from_function(tests::is_divisibleby)),
        ("endingwith", Value::from_function(tests::is_endingwith)),
        ("eq", Value::from_function(tests::is_eq)),
        ("even", Value::from_function(tests::is_even)),
        ("false", Value::from_function(tests::is_false)),
        ("float", Value::from_function(tests::is_float)),
        ("ge", Value::from_function(tests::is_ge)),
        ("gt", Value::from_function(tests::is_gt)),
        ("in", Value::from_function(tests::is_in)),
        ("int", Value::from_function(tests::is_integer)),
        ("integer", Value::from_function(tests::is_integer)),
        ("iterable", Value::from_function(tests::is_iterable)),
        ("le", Value::from_function(tests::is_le)),
        ("lower", Value::from_function(tests::is_lower)),
        ("lt", Value::from_function(tests::is_lt)),
        ("mapping", Value::from_function(tests::is_mapping)),
        ("ne", Value::from_function(tests::is_ne)),
        ("none", Value::from_function(tests::is_none)),
        ("number", Value::from_function(tests::is_number)),
        ("odd", Value::from_function(tests::is_odd)),
        ("safe", Value::from_function(tests::is_safe)),
        ("sequence", Value::from_function(tests::is_sequence)),
        ("startingwith", Value::from_function(tests::is_startingwith)),
        ("string", Value::from_function(tests::is_string)),
        ("true", Value::from_function(tests::is_true)),
        ("undefined", Value::from_function(tests::is_undefined)),
        ("upper", Value::from_function(tests::is_upper)),
        ("equalto", Value::from_function(tests::is_eq)),
        ("==", Value::from_function(tests::is_eq)),
    ];
    let others: [(&str, Value); 5] = [
        ("!=", Value::from_function(tests::is_ne)),
        ("<", Value::from_function(tests::is_lt)),
        (">", Value::from_function(tests::is_gt)),
        ("lessthan", Value::from_function(tests::is_lt)),
        ("greaterthan", Value::from_function(tests::is_gt)),
    ];
    for (name, native) in of_any.into_iter().chain(others) {
        environment.add_test(name, move |state: &mut State<'_, '_>, args: Rest<Value>| {
            for value in args.iter() {
                Meter::of(state).charge_for(value, 1)?;
            }
            let args = args.iter().map(plain).collect::<Vec<_>>();
            native.call(state, &args).map(|answer| answer.is_true())
        });
    }
}

fn metered(
    cost: Cost,
    native: Value,
) -> impl Fn(&mut State<'_, '_>, Rest<Value>) -> Result<Value, Error> + Send + Sync + 'static {
    move |state, args| {
        if let Some(first) = args.first().filter(|first| is_placeholder(first)) {
            return Ok(first.clone());
        }
        let meter = Meter::of(state);
        for value in args.iter() {
            match cost {
                Cost::Shallow => meter.charge_shallow(value)?,
                Cost::All(times) => meter.charge_for(value, times)?,
                Cost::Text => meter.charge_for(value, MAX_CASE_GROWTH)?,
                Cost::Numbers => meter.charge_for(value, 1)?,
            }
        }
        let mut args = args.0;
        if let Some(first) = args.first_mut() {
            match cost {
                Cost::Text => *first = as_text(first),
                Cost::Numbers => *first = as_numbers(first)?,
                Cost::Shallow | Cost::All(_) => {}
            }
        }
        let made = native.call(state, &args)?;
        Meter::of(state).whole(made)
    }
}

fn as_text(value: &Value) -> Value {
    value.downcast_object_ref::<Exact>().map_or_else(|| value.clone(), |exact| Value::from(exact.digits()))
}

fn as_numbers(value: &Value) -> Result<Value, Error> {
    match value.downcast_object_ref::<Vec<Value>>() {
        Some(items) => Ok(Value::from(items.iter().map(plain).collect::<Vec<_>>())),
        None => Ok(plain(value)),
    }
}

/// Replaces each occurrence of `from` in a text.
fn replace(state: &mut State<'_, '_>, value: Value, from: Value, to: Value) -> Result<Value, Error> {
    if is_placeholder(&value) {
        return Ok(value);
    }
    let meter = Meter::of(state);
    let [text, from, to] = [value, from, to].map(|value| as_text(&value));
    let (Some(text), Some(from), Some(to)) = (text.as_str(), from.as_str(), to.as_str()) else {
        return Err(invalid("replace only takes texts".to_owned()));
    };
    meter.charge(text.len() + from.len())?;
    let made = text.matches(from).count().saturating_mul(to.len());
    meter.charge(made.saturating_add(text.len()))?;
    Ok(Value::from(text.replace(from, to)))
}

/// Joins the texts of a list, with `between` between them.
fn join(state: &mut State<'_, '_>, value: Value, between: Option<Value>) -> Result<Value, Error> {
    if is_placeholder(&value) {
        return Ok(value);
    }
    if value.is_undefined() || value.as_object().is_none() {
        return Err(invalid(format!("join takes a list, not {}", value.kind())));
    }
    let between = between.map_or_else(String::new, |between| between.to_string());
    let mut out = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        let meter = Meter::of(state);
        meter.charge(between.len())?;
        meter.charge_for(&item, MAX_TEXT_GROWTH)?;
        if index > 0 {
            out.push_str(&between);
        }
        match item.kind() {
            ValueKind::Undefined => return Err(Error::from(minijinja::ErrorKind::UndefinedError)),
            ValueKind::Bool => out.push_str(if item.is_true() { "true" } else { "false" }),
            _ => out.push_str(&item.to_string()),
        }
    }
    Ok(Value::from(out))
}
