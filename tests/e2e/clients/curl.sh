# Publishes a lead, finds it by its mail address, retries its failed delivery, and watches until it has succeeded.
call() { # METHOD REQUEST: calls a method of the API
  curl --silent --show-error --fail-with-body "$LEADLINE_URL/leadline.v1.$1" -H "Authorization: Bearer $LEADLINE_API_KEY" \
    -H 'Content-Type: application/json' -d "$2"
}

fields='[{"name": "email", "path": "payload.email", "kind": "SEARCHABLE_KIND_EMAIL"}]'
call RegistryService/UpdateInterface "{\"update_mask\": \"searchableFields\",
  \"interface\": {\"account_id\": \"acme\", \"interface_id\": \"contact-form\", \"searchable_fields\": $fields}}"

curl --silent --fail-with-body "$LEADLINE_URL/v1/leads" -H "Authorization: Bearer $LEADLINE_API_KEY" -H 'Idempotency-Key: order-7' \
  -d '{"account": "acme", "interface": "contact-form", "payload": {"name": "Ada", "email": "ada@example.com"}}'

until found=$(call LeadService/ListLeads '{"account_id": "acme", "where": {"email": "Ada@Example.com"}}') &&
  printf %s "$found" | grep leadId; do
  sleep 0.2
done

filter='"filter": {"account_id": "acme", "event_id": "order-7", "statuses": ["DELIVERY_STATUS_FAILED"]}'
until failed=$(call DeliveryService/ListDeliveries "{$filter, \"page_size\": 1}") && printf %s "$failed" | grep -q deliveryId; do
  sleep 0.2
done
delivery=$(printf %s "$failed" | sed 's/.*"deliveryId":"\([^"]*\)".*/\1/')
call DeliveryService/RetryDelivery "{\"delivery_id\": \"$delivery\", \"requested_by\": \"Ada\"}"

# A stream has five bytes before each message: a zero, and the length of the message. This one is read for a second.
watch='{"account_id":"acme","existing":true,"statuses":["DELIVERY_STATUS_SUCCEEDED"]}'
length=$(printf '%03o' "${#watch}")
until printf "\\000\\000\\000\\000\\$length%s" "$watch" |
  curl --silent --max-time 1 "$LEADLINE_URL/leadline.v1.DeliveryService/WatchDeliveries" --data-binary @- \
    -H "Authorization: Bearer $LEADLINE_API_KEY" -H 'Content-Type: application/connect+json' |
  grep --text --only-matching '"eventId":"order-7"'
do :; done
