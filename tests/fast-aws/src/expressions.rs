//! Condition expressions of DynamoDB, as far as functions write them: comparisons of an attribute with a value,
//! `attribute_exists`, `attribute_not_exists`, `begins_with`, joined by `AND`, `OR`, `NOT` and parentheses.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>

use std::cmp::Ordering;

use serde_json::Value;

use super::error::AwsError;

/// Whether a request's expression holds for an item; without the expression it does.
pub(crate) fn holds(request: &Value, name: &str, item: &Value) -> Result<bool, AwsError> {
    let Some(text) = request[name].as_str() else {
        return Ok(true);
    };
    let mut parser = Parser {
        tokens: tokens(text),
        at: 0,
        request,
        item,
    };
    let holds = parser.alternatives()?;
    if parser.at < parser.tokens.len() {
        return Err(parser.unknown());
    }
    Ok(holds)
}

/// The text that an expression says an attribute is equal to.
pub(crate) fn equal_to(request: &Value, name: &str, attribute: &str) -> Option<String> {
    let tokens = tokens(request[name].as_str()?);
    let means = |token: &str| {
        let named = request["ExpressionAttributeNames"][token].as_str();
        named.unwrap_or(token) == attribute
    };
    let equality = tokens.windows(3).find(|part| means(&part[0]) && part[1] == "=")?;
    let value = &request["ExpressionAttributeValues"][&equality[2]]["S"];
    value.as_str().map(str::to_owned)
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = vec![];
    let mut joins = false;
    for character in text.chars() {
        let is_word = character.is_alphanumeric() || "#:_.-".contains(character);
        let is_sign = "<>=".contains(character);
        let last = tokens.last_mut().filter(|last| {
            let last_is_sign = last.starts_with(['<', '>', '=']);
            joins && (is_word && !last_is_sign && !"(),".contains(last.as_str()) || is_sign && last_is_sign)
        });
        joins = is_word || is_sign;
        match last {
            Some(last) => last.push(character),
            None if character.is_whitespace() => {}
            None => tokens.push(character.to_string()),
        }
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    request: &'a Value,
    item: &'a Value,
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Result<bool, AwsError> {
        let mut holds = self.parts()?;
        while self.take("OR") {
            holds |= self.parts()?;
        }
        Ok(holds)
    }

    fn parts(&mut self) -> Result<bool, AwsError> {
        let mut holds = self.part()?;
        while self.take("AND") {
            holds &= self.part()?;
        }
        Ok(holds)
    }

    fn part(&mut self) -> Result<bool, AwsError> {
        if self.take("NOT") {
            return Ok(!self.part()?);
        }
        if self.take("(") {
            let holds = self.alternatives()?;
            self.expect(")")?;
            return Ok(holds);
        }
        match self.peek() {
            "attribute_exists" | "attribute_not_exists" | "begins_with" => self.function(),
            _ => self.comparison(),
        }
    }

    fn function(&mut self) -> Result<bool, AwsError> {
        let function = self.next();
        self.expect("(")?;
        let operand = self.operand();
        let holds = match function.as_str() {
            "attribute_exists" => operand.is_some(),
            "attribute_not_exists" => operand.is_none(),
            _ => {
                self.expect(",")?;
                let prefix = self.operand();
                let texts = operand.as_ref().zip(prefix.as_ref());
                let texts =
                    texts.and_then(|(text, prefix)| Some((text["S"].as_str()?, prefix["S"].as_str()?)));
                texts.is_some_and(|(text, prefix)| text.starts_with(prefix))
            }
        };
        self.expect(")")?;
        Ok(holds)
    }

    fn comparison(&mut self) -> Result<bool, AwsError> {
        let left = self.operand();
        let sign = self.next();
        let right = self.operand();
        // A missing attribute matches no comparison except "not equal".
        let Some((left, right)) = left.zip(right) else {
            return Ok(sign == "<>");
        };
        let order = compare(&left, &right);
        match sign.as_str() {
            "=" => Ok(order == Some(Ordering::Equal)),
            "<>" => Ok(order != Some(Ordering::Equal)),
            "<" => Ok(order == Some(Ordering::Less)),
            ">" => Ok(order == Some(Ordering::Greater)),
            "<=" => Ok(matches!(order, Some(Ordering::Less | Ordering::Equal))),
            ">=" => Ok(matches!(order, Some(Ordering::Greater | Ordering::Equal))),
            _ => Err(self.unknown()),
        }
    }

    /// The value of an attribute, by its name or a placeholder, or the value behind a placeholder.
    fn operand(&mut self) -> Option<Value> {
        let token = self.next();
        let found = if token.starts_with(':') {
            &self.request["ExpressionAttributeValues"][&token]
        } else if token.starts_with('#') {
            let name = self.request["ExpressionAttributeNames"][&token].as_str()?;
            &self.item[name]
        } else {
            &self.item[&token]
        };
        (!found.is_null()).then(|| found.clone())
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        let token = self.peek().to_owned();
        self.at += 1;
        token
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.peek().eq_ignore_ascii_case(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, token: &str) -> Result<(), AwsError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.unknown())
        }
    }

    fn unknown(&self) -> AwsError {
        let message = format!(
            "the fast AWS cannot read this expression near token {}: {}",
            self.at,
            self.tokens.join(" ")
        );
        AwsError::new("ValidationException", message)
    }
}

/// The order of two attribute values of one type.
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    let both = |kind: &str| Some((left[kind].as_str()?, right[kind].as_str()?));
    if let Some((left, right)) = both("S") {
        return Some(left.cmp(right));
    }
    if let Some((left, right)) = both("N") {
        return left.parse::<f64>().ok()?.partial_cmp(&right.parse().ok()?);
    }
    (left == right).then_some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds_for(expression: &str, item: &Value) -> bool {
        let request = json!({
            "ConditionExpression": expression,
            "ExpressionAttributeNames": { "#of": "of", "#expires": "expires", "#version": "version" },
            "ExpressionAttributeValues": { ":now": { "N": "100" }, ":three": { "N": "3" }, ":a": { "S": "a#" } },
        });
        holds(&request, "ConditionExpression", item).expect("an expression")
    }

    #[test]
    fn conditions_of_the_functions_are_read() {
        let nothing = json!({});
        let there = json!({ "of": { "S": "a#1" }, "expires": { "N": "99" }, "version": { "N": "3" } });
        let unless_there = "attribute_not_exists(#of) OR #expires <= :now";
        assert!(holds_for(unless_there, &nothing));
        assert!(holds_for(unless_there, &there), "it is over");
        assert!(!holds_for(
            unless_there,
            &json!({ "of": { "S": "a" }, "expires": { "N": "101" } })
        ));
        assert!(holds_for("#version = :three", &there));
        assert!(!holds_for("#version = :three", &nothing));
        assert!(holds_for(
            "begins_with(#of, :a) AND NOT #version <> :three",
            &there
        ));
        assert!(holds_for(
            "(#version<:now AND attribute_exists(of)) OR #version = :now",
            &there
        ));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let request = json!({ "ConditionExpression": "size(of) > :n" });
        assert!(holds(&request, "ConditionExpression", &json!({})).is_err());
    }
}
