"""Names that several toolkits build their records from."""


def words(text: str) -> tuple[str, ...]:
    """The words of a list written as one text."""
    return tuple(text.split())


FIRST_NAMES = words(
    """
    Ada Alan Amara Anton Asha Bela Bruno Carla Chen Clara Diego Dora Elif Emil Erik Farah Felix Fiona Gita Hana
    Hugo Ida Igor Ines Ivan Jana Jonas Kai Karin Lars Leila Lina Luca Mara Marco Mei Mila Nadia Nils Nora Omar
    Olga Otto Paula Pavel Priya Ravi Rosa Samir Sara Sofia Tariq Tessa Theo Tomas Uma Vera Viktor Wanda Yusuf
    Zoe
    """
)
LAST_NAMES = words(
    """
    Abbott Adler Almeida Baker Barros Becker Bianchi Castro Chang Cohen Dalton Diaz Duarte Eriksen Fischer
    Fontaine Garcia Gruber Haas Hansen Ibrahim Ito Jensen Kaya Keller Khan Kovacs Kowal Larsen Lindgren Lopez
    Mancini Meyer Mori Nakata Novak Okafor Olsen Park Petrov Quint Rao Reyes Rossi Sato Schmidt Silva Singh
    Tanaka Torres Varga Vogel Wagner Walsh Weber Yilmaz Zhang
    """
)
CITIES = words(
    """
    Accra Amsterdam Ankara Athens Baku Bangkok Barcelona Beirut Belgrade Bergen Berlin Bogota Bordeaux Boston
    Bratislava Brussels Bucharest Budapest Cairo Calgary Cardiff Casablanca Chicago Cologne Copenhagen Cork
    Dakar Dallas Delhi Denver Doha Dresden Dubai Dublin Edinburgh Florence Geneva Genoa Ghent Glasgow Granada
    Hamburg Hanoi Havana Helsinki Houston Istanbul Jakarta Karachi Krakow Kyoto Lagos Leeds Leipzig Lima Lisbon
    Liverpool Ljubljana London Lyon Madrid Malaga Manchester Manila Marseille Medellin Melbourne Miami Milan
    Montreal Moscow Munich Nairobi Nantes Naples Nice Osaka Oslo Ottawa Palermo Paris Perth Porto Prague Quito
    Riga Rome Rotterdam Salzburg Santiago Seattle Seoul Seville Shanghai Sofia Stockholm Sydney Taipei Tallinn
    Tbilisi Tokyo Toronto Toulouse Trieste Tunis Turin Utrecht Valencia Vancouver Venice Vienna Vilnius Warsaw
    Zagreb Zurich
    """
)
DATES = tuple(f"2026-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29))
