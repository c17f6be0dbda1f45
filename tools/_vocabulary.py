"""Names that several toolkits build their records from."""


def words(text: str) -> tuple[str, ...]:
    """The words of a list written as one text."""
    return tuple(text.split())


FIRST_NAMES = words(
    """
    Abel Ada Adam Agnes Aiko Akira Alan Alba Aldo Alice Alma Amara Amir Ana Andre Anika Anna Anton Arjun Armin Arno
    Asha Astrid Aurel Axel Beatriz Bela Ben Bianca Boris Brigitta Bruno Bryn Camila Carla Carlos Cecilia Cem Chen
    Chiara Clara Cleo Cora Cyril Dalia Damian Dana Daniel Daria David Delia Denis Diego Dina Dmitri Dora Edda Edgar
    Edith Eduardo Eleni Elif Eliza Ella Elsa Emil Emma Enzo Erik Esther Eva Fabio Farah Fatima Felix Fergus Finn
    Fiona Flora Frida Gabriel Galina Gemma Georg Gerda Gita Greta Gustav Hakim Hana Hanna Harald Hassan Heidi Helga
    Henrik Hilda Hugo Ida Igor Ilse Imran Ines Inga Irene Iris Isaac Isla Ismail Ivan Jakob Jamila Jana Jasper Joana
    Joel Johan Jonas Jorge Judith Julia Kai Kamil Kara Karin Katja Kenji Kira Klara Kofi Kwame Lara Lars Laszlo
    Laura Layla Lea Leila Leon Levi Lidia Lina Linus Lotta Louis Luca Lucia Ludwig Maja Malik Malin Manuel Mara
    Marco Maren Maria Mario Marta Matilda Max Mehmet Mei Mikael Mila Milan Mira Miriam Moritz Nadia Nils Nina Noah
    Nora Nuria Oda Odin Ole Olga Oliver Omar Oscar Otto Paula Pavel Pedro Petra Pia Priya Rafael Ragna Ramon Raquel
    Ravi Renata Rene Rita Robin Roman Rosa Rupert Ruth Salma Samir Samuel Sanna Sara Selma Silas Simon Sofia Sonja
    Stefan Stella Sven Sylvia Tamar Tanja Tariq Tessa Thea Theo Tilda Tim Tobias Tomas Toni Ulla Ulrich Uma Urs
    Valeria Vasco Vera Victor Viktor Vincent Viola Walter Wanda Wilma Xenia Yara Yasmin Yuki Yuri Yusuf Zara Zeno
    Zoe
    """
)
LAST_NAMES = words(
    """
    Aalto Abbott Acosta Adler Ahmed Albrecht Almeida Alvarez Andersen Antonov Arslan Baker Bakker Banerjee Barros
    Bauer Becker Belov Benitez Berger Bergman Bernard Bianchi Blanc Bogdan Bosch Brandt Braun Brennan Brown Bruun
    Burke Cabral Campos Carlsen Carter Castro Chang Chen Clarke Cohen Conti Costa Cruz Dahl Dalton Danner Davis
    Demir Deniz Diaz Duarte Dubois Duval Ebert Egger Ekberg Ellis Engel Eriksen Esposito Evans Farkas Ferrari
    Ferreira Fischer Flores Fontaine Forster Franco Frank Friis Fuchs Fuentes Gallo Garcia Gomez Graf Greco Grimm
    Gruber Gupta Haas Hahn Hansen Hartmann Hashimoto Heller Herrera Hoffman Holm Horvat Huber Hughes Ibrahim Ito
    Ivanov Iversen Jacobs Jain Janssen Jensen Joshi Jung Kamara Kang Kato Kaya Keller Kent Khan Kim King Klein Koch
    Kovacs Kowal Kraus Krause Kruger Kumar Lange Larsen Laurent Leclerc Lehmann Lenz Lewis Linde Lindgren Lopez Lund
    Maier Mancini Marin Marino Martin Mehta Melo Mendes Meyer Moreau Moreno Mori Morris Muller Murray Nagy Nair
    Nakata Naumann Neri Neumann Nielsen Nilsson Novak Nowak Nunes Oberg Okafor Oliveira Olsen Ortega Osman Otieno
    Owens Palmer Park Patel Peeters Pereira Perez Petrov Pham Pinto Popov Prieto Quinn Quint Ramos Rao Reyes Ricci
    Richter Rivera Roberts Romano Rossi Roth Ruiz Saito Salo Santos Sato Schmidt Schneider Schroder Serra Shah
    Sharma Silva Simon Singh Smirnov Sokolov Sousa Steiner Stone Suzuki Svensson Takeda Tanaka Thomas Torres Toth
    Tran Turner Urban Vance Varga Vega Vidal Vieira Virtanen Vogel Volkov Wagner Wallin Walsh Wang Ward Weber Wolf
    Wong Wood Wright Yamada Yilmaz Young Zeman Zhang Ziegler Zimmer
    """
)
CITIES = words(
    """
    Aachen Aarhus Aberdeen Abuja Accra Adelaide Agadir Alicante Almaty Amman Amsterdam Ankara Antwerp Arequipa
    Asheville Asuncion Athens Augsburg Austin Baku Baltimore Bangkok Barcelona Basel Bath Beijing Beirut Belfast
    Belgrade Bergen Berlin Bern Bilbao Birmingham Bochum Bogota Bologna Bombay Bordeaux Boston Bratislava Bremen
    Bremerhaven Brescia Brighton Brisbane Bristol Brno Bruges Brussels Bucharest Budapest Burgos Bursa Busan Caen
    Cagliari Cairo Calgary Cambridge Canberra Cancun Caracas Cardiff Casablanca Catania Charleston Chennai Chester
    Chicago Cincinnati Cleveland Cologne Columbus Conakry Constanta Copenhagen Cordoba Cork Cracow Curitiba Cuzco
    Dakar Dallas Damascus Darwin Davos Debrecen Delhi Denver Derby Detroit Dhaka Dijon Doha Dortmund Dover Dresden
    Dubai Dublin Duisburg Dundee Durban Durham Edinburgh Erfurt Esbjerg Espoo Essen Exeter Faro Fez Florence
    Frankfurt Freiburg Fukuoka Galway Gdansk Gdynia Geneva Genoa Ghent Girona Glasgow Gothenburg Granada Graz
    Grenoble Groningen Guadalajara Haifa Halifax Hamburg Hannover Hanoi Harare Havana Helsinki Hobart Honolulu
    Houston Hull Innsbruck Inverness Istanbul Izmir Jakarta Jena Jerusalem Johannesburg Kampala Karachi Kassel
    Kathmandu Kaunas Kiel Kigali Kingston Kobe Kolkata Kosice Krakow Kyiv Kyoto Lagos Lahore Lausanne Leeds Leiden
    Leipzig Leon Leuven Lille Lima Limerick Limoges Linz Lisbon Liverpool Livorno Ljubljana Lodz London Lublin
    Lucerne Lugano Luxembourg Lyon Maastricht Macao Madison Madrid Mainz Malaga Malmo Manaus Manchester Manila
    Mannheim Maribor Marrakech Marseille Mechelen Medellin Melbourne Memphis Messina Metz Miami Milan Minsk Modena
    Mombasa Monaco Monterrey Montevideo Montreal Moscow Mostar Mumbai Munich Murcia Muscat Nagoya Nairobi Namur
    Nanjing Nantes Naples Nashville Newcastle Nice Nicosia Norwich Nottingham Nuremberg Odense Odessa Orlando
    Orleans Osaka Osijek Oslo Ostrava Ottawa Oulu Oviedo Oxford Padua Palermo Paris Parma Passau Patras Perth
    Perugia Philadelphia Phoenix Pisa Plovdiv Plymouth Podgorica Portland Porto Potsdam Poznan Prague Pretoria
    Quebec Quito Ravenna Recife Reims Rennes Reykjavik Riga Rimini Rome Rostock Rotterdam Rouen Sacramento Salerno
    Salvador Salzburg Santiago Sapporo Sarajevo Saskatoon Savannah Seattle Sendai Seoul Seville Shanghai Sheffield
    Shenzhen Siena Singapore Skopje Sofia Southampton Split Stavanger Stockholm Stockport Strasbourg Stuttgart Suva
    Swansea Sydney Szczecin Szeged Taipei Tallinn Tampa Tampere Tangier Tarragona Tartu Tbilisi Tehran Thessaloniki
    Tirana Tokyo Toronto Toulouse Trento Trieste Tromso Trondheim Tucson Tunis Turin Turku Ulm Uppsala Utrecht
    Valencia Valletta Vancouver Varna Venice Verona Vienna Vigo Vilnius Warsaw Wellington Winnipeg Wroclaw Wuhan
    Yerevan York Zadar Zagreb Zaragoza Zurich
    """
)
DATES = tuple(f"2026-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29))
