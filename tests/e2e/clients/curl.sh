# Publishes a lead, finds it by its mail address, shows its payload, asks why a destination gets it, retries the failed delivery,
# watches until it has succeeded, and resends it. Then publishes 10,000 leads of another interface, and lists them.
call() { # METHOD REQUEST: calls a method of the API
  curl --silent --show-error --fail-with-body "$LEADLINE_URL/leadline.v1.$1" -H "Authorization: Bearer $LEADLINE_API_KEY" \
    -H 'Content-Type: application/json' -d "$2"
}
publish() { # ARGUMENTS: publishes events
  curl --silent --show-error --fail-with-body "$LEADLINE_URL/v1/leads" -H "Authorization: Bearer $LEADLINE_API_KEY" "$@"
}
field() { # NAME: prints the text of a field of an answer
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

fields='[{"name": "email", "path": "payload.email", "kind": "SEARCHABLE_KIND_EMAIL"}]'
call RegistryService/UpdateInterface "{\"update_mask\": \"searchableFields\",
  \"interface\": {\"account_id\": \"acme\", \"interface_id\": \"contact-form\", \"searchable_fields\": $fields}}"
publish -H 'Idempotency-Key: order-7' \
  -d '{"account": "acme", "interface": "contact-form", "payload": {"name": "Ada", "email": "ada@example.com"}}'

until call LeadService/ListLeads '{"account_id": "acme", "where": {"email": "Ada@Example.com"}}' | grep leadId; do sleep 0.2; done
call LeadService/GetEvent '{"account_id": "acme", "event_id": "order-7"}'

filter='"account_id": "acme", "event_id": "order-7"'
until failed=$(call DeliveryService/ListDeliveries "{\"filter\": {$filter, \"statuses\": [\"DELIVERY_STATUS_FAILED\"]}}") &&
  delivery=$(printf %s "$failed" | field deliveryId) && [ -n "$delivery" ]; do
  sleep 0.2
done
destination=$(printf %s "$failed" | field destinationId)
call RoutingService/ExplainRouting "{\"account_id\": \"acme\", \"event_id\": \"order-7\", \"destination_id\": \"$destination\"}"
call DeliveryService/RetryDelivery "{\"delivery_id\": \"$delivery\", \"requested_by\": \"Ada\"}"

# Five bytes precede each message of a stream: a zero, and the length of the message in four bytes. curl reads answers for a second.
watch='{"account_id":"acme","existing":true,"statuses":["DELIVERY_STATUS_SUCCEEDED"]}'
length=$(printf '%03o' "${#watch}")
until printf "\\000\\000\\000\\000\\$length%s" "$watch" |
  curl --silent --max-time 1 "$LEADLINE_URL/leadline.v1.DeliveryService/WatchDeliveries" --data-binary @- \
    -H "Authorization: Bearer $LEADLINE_API_KEY" -H 'Content-Type: application/connect+json' |
  grep --text --only-matching '"eventId":"order-7"'
do :; done

call DeliveryService/RetryDelivery "{\"delivery_id\": \"$delivery\", \"force\": true, \"reason\": \"the receiver lost it\"}"
until call DeliveryService/ListDeliveries "{\"filter\": {$filter, \"statuses\": [\"DELIVERY_STATUS_SUCCEEDED\"]}}" |
  grep --only-matching '"retries":2'
do sleep 0.2; done

call RegistryService/CreateInterface '{"interface": {"account_id": "acme", "interface_id": "imported"}}'
event='{"account": "acme", "interface": "imported", "event_id": "row-&", "lead_id": "row-&", "payload": {"row": &}}'
seq 10000 | sed "s/.*/$event/" | publish -H 'Content-Type: application/x-ndjson' --data-binary @- >/dev/null
list() { # prints the ids of all leads, a page of 500 at a time
  token=
  while page=$(call LeadService/ListLeads \
    "{\"account_id\": \"acme\", \"interface_id\": \"imported\", \"page_size\": 500, \"page_token\": \"$token\"}"); do
    printf %s "$page" | grep --only-matching '"leadId":"[^"]*"'
    token=$(printf %s "$page" | field nextPageToken)
    [ -n "$token" ] || break
  done
}
until [ "$(list | wc -l)" -ge 10000 ]; do sleep 1; done
echo "$(list | sort -u | wc -l) leads"
