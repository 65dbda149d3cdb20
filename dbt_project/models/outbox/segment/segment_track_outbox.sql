{{ outbox('track') }}
