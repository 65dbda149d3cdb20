{{ outbox('identify') }}
